// The picture of a storm: those who asked stand left of the moment they asked at, loads are bars in the
// middle, those who got an answer stand right of the moment it came. Nothing here decides anything.

import type { Kind, Load, Scene } from "./scene.js";
import { colours, still, type Palette, type View } from "./view.js";
import { count, ms } from "./words.js";

const MARGIN = 14;
const LABEL = 20;
const AXIS = 22;
const FLIGHT = 420;
const STAGGER = 260;
const ANSWERS: Kind[] = ["hit", "join", "load", "fail"];

let scratch = new Float64Array(0);

/** True while something moves. */
export function drawScene(view: View, scene: Scene | undefined): boolean {
  const palette = colours();
  view.clear();
  const { width, height } = view;
  const lane = (height - AXIS - 3 * LABEL) / 10;
  const askedTop = LABEL;
  const askedHeight = 4 * lane;
  const loadsTop = askedTop + askedHeight + LABEL;
  const loadsHeight = 2 * lane;
  const answeredTop = loadsTop + loadsHeight + LABEL;
  const bottom = height - AXIS;
  const answeredHeight = bottom - answeredTop;

  const gets = scene?.expectedGets ?? 0;
  // A pile of all gets may take a quarter of the width.
  const ideal = Math.min(8, Math.max(1.5, Math.sqrt((0.26 * width * askedHeight) / Math.max(gets, 1))));
  // In whole pixels of the screen, or the crowd shimmers.
  const pitch = Math.max(1, Math.floor(ideal * devicePixelRatio)) / devicePixelRatio;
  const rows = Math.max(1, Math.floor(askedHeight / pitch));
  const pile = Math.min(0.3 * width, Math.ceil(gets / rows) * pitch) + 4;
  const left = MARGIN + Math.max(pile, 40);
  const right = width - MARGIN - Math.max(pile, 40);
  const now = scene === undefined ? 0 : scene.now;
  const end = axisEnd(scene, now);
  const x = (time: number): number => left + ((right - left) * time) / end;

  drawAxis(view, palette, x, end, bottom, right);
  view.g.fillStyle = palette.line;
  for (const y of [askedTop + askedHeight + 1, loadsTop + loadsHeight + 1])
    view.g.fillRect(MARGIN, Math.round(y), width - 2 * MARGIN, 1);
  const answered = gets === 0 ? "answered" : `answered ${count(scene!.order.length)} of ${count(gets)}`;
  view.text("asked", MARGIN, askedTop - 8, palette.soft);
  view.text("loads", MARGIN, loadsTop - 5, palette.soft);
  view.text(answered, MARGIN, answeredTop - 5, palette.soft);
  if (scene === undefined) return false;

  for (const { at, what } of scene.marks) {
    view.g.fillStyle = palette.ink;
    for (let y = askedTop; y < bottom; y += 6) view.g.fillRect(x(at), y, 1, 3);
    view.text(what, x(at) + 4, askedTop - 8, palette.ink);
  }
  drawLoads(view, palette, scene.loads, x, now, loadsTop, loadsHeight);
  if (scene.pending) {
    view.g.fillStyle = palette.line;
    view.g.fillRect(x(now), askedTop, 1, bottom - askedTop);
  }

  if (scratch.length < 8 * gets) scratch = new Float64Array(8 * gets);
  const places = scratch.subarray(0, 2 * gets);
  const columns = Math.ceil(width / pitch) + 1;
  const full = new Int32Array(columns);
  const put = (at: number, index: number, step: 1 | -1, base: number, most: number): void => {
    let column = Math.max(0, Math.min(columns - 1, Math.floor(at / pitch) + (step < 0 ? -1 : 0)));
    while (full[column]! >= most && column + step >= 0 && column + step < columns - 2) column += step;
    const level = Math.min(full[column]!++, most - 1);
    places[2 * index] = (column + 0.5) * pitch;
    places[2 * index + 1] = base - (level + 0.5) * pitch;
  };
  const dot = pitch < 3 ? 0.8 * pitch : pitch - 1;

  for (let i = 0; i < scene.asked.length; i++) put(x(scene.asked[i]!), i, -1, askedTop + askedHeight, rows);
  const some = scratch.subarray(2 * gets, 4 * gets);
  for (const waits of [false, true]) {
    let n = 0;
    for (let i = 0; i < scene.asked.length; i++) {
      if ((scene.answered[i] === undefined) !== waits) continue;
      some[n++] = places[2 * i]!;
      some[n++] = places[2 * i + 1]!;
    }
    view.dots(some, n / 2, dot, waits ? palette.wait : palette.line);
  }

  const from = scratch.subarray(4 * gets, 6 * gets);
  from.set(places);
  full.fill(0);
  const answeredRows = Math.max(1, Math.floor(answeredHeight / pitch));
  for (const i of scene.order) put(x(scene.answered[i]!), i, 1, bottom - 3, answeredRows);
  let moving = scene.pending;
  for (const kind of ANSWERS) {
    let n = 0;
    for (let k = 0; k < scene.order.length; k++) {
      const i = scene.order[k]!;
      if (scene.kinds[i] !== kind) continue;
      const late = now - scene.answered[i]! - (STAGGER * k) / scene.order.length;
      const done = still.matches ? 1 : Math.min(1, Math.max(0, late / FLIGHT));
      if (done < 1) moving = true;
      const t = done * done * (3 - 2 * done);
      some[n++] = from[2 * i]! + t * (places[2 * i]! - from[2 * i]!);
      some[n++] = from[2 * i + 1]! + t * (places[2 * i + 1]! - from[2 * i + 1]!);
    }
    // The few who led are drawn larger, or they would be lost in the crowd.
    const few = kind === "load" && n / 2 <= 20;
    view.dots(some, n / 2, few ? Math.max(dot, 6) : dot, palette[kind]);
  }
  return moving;
}

function axisEnd(scene: Scene | undefined, now: number): number {
  if (scene === undefined) return 1000;
  const last = scene.loads.reduce((end, load) => Math.max(end, load.ended ?? now), scene.asked.at(-1) ?? 0);
  return Math.max(40, scene.expected * 1.04, (scene.pending ? now : last) * 1.02);
}

function drawAxis(
  view: View,
  palette: Palette,
  x: (time: number) => number,
  end: number,
  bottom: number,
  right: number,
): void {
  const { g } = view;
  g.fillStyle = palette.line;
  g.fillRect(MARGIN, bottom, view.width - 2 * MARGIN, 1);
  const room = Math.max(2, Math.floor((right - x(0)) / 60));
  const step = niceStep(end / room);
  for (let time = 0; time <= end; time += step) {
    g.fillStyle = palette.line;
    g.fillRect(x(time), bottom, 1, 4);
    view.text(ms(time), x(time), bottom + 13, palette.soft, "center");
  }
}

function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 2.5, 5].find((digit) => digit * power >= least) ?? 10);
}

function drawLoads(
  view: View,
  palette: Palette,
  loads: Load[],
  x: (time: number) => number,
  now: number,
  top: number,
  height: number,
): void {
  const { g } = view;
  const pitch = Math.min(26, height / Math.max(loads.length, 1));
  const labelled = pitch >= 20;
  const thick = labelled ? 10 : Math.max(pitch - (pitch > 3 ? 1 : 0), 0.35);
  loads.forEach((load, i) => {
    const y = top + i * pitch + (labelled ? 15 : 0);
    const from = x(load.began);
    const width = Math.max(2, x(load.ended ?? now) - from);
    const colour = load.ending === "failed" ? palette.fail : palette.load;
    const hollow = load.ending === "given up" || load.beaten !== undefined;
    g.fillStyle = g.strokeStyle = colour;
    if (thick < 4) g.fillRect(from, y, width, thick);
    else {
      g.beginPath();
      g.roundRect(from + 0.75, y + 0.75, Math.max(width - 1.5, 1), thick - 1.5, thick / 2);
      g.lineWidth = 1.5;
      g.stroke();
      if (!hollow) g.fill();
    }
    if (labelled)
      view.text(describe(load, now), from + 2, y - 7, load.ending === "failed" ? palette.fail : palette.ink);
  });
}

function describe({ key, began, ended, ending, beaten }: Load, now: number): string {
  const time = ms((ended ?? now) - began);
  const not = beaten === undefined ? "" : `, not stored: ${beaten}`;
  return `${key} · ${ending === "answered" ? time : `${time}, ${ending}`}${not}`;
}
