// The pictures of steady traffic. They only look: `remainingTtl` and `entries` count nothing.

import type { Lane } from "./lane.js";
import { colours, still, type Colour, type View } from "./view.js";
import { count } from "./words.js";

const GLOW = 350;

export interface Line {
  rates: readonly number[];
  colour: Colour;
  width: number;
  dash?: readonly number[];
}

/** Lines of shares, the last of each at the right. */
export function drawChart(view: View, lines: Line[], windows: number): void {
  const { right, left, y } = drawShares(view, view.height - 8);
  for (const line of lines) {
    const x = (i: number): number => right - ((line.rates.length - 1 - i) * (right - left)) / (windows - 1);
    drawLine(view, line, x, y);
    drawDot(view, line, right, y(line.rates.at(-1) ?? NaN));
  }
}

/** Lines of shares by room, which doubles from each place to the next; `present` is the room there is. */
export function drawCurve(view: View, lines: Line[], rooms: readonly number[], present: number): void {
  const bottom = view.height - 26;
  const { right, left, y } = drawShares(view, bottom);
  const x = (i: number): number => left + ((i + 0.5) * (right - left)) / rooms.length;
  const palette = colours();
  view.g.fillStyle = palette.wait;
  for (let at = y(1); at < bottom; at += 6) view.g.fillRect(Math.round(x(present)), at, 1, 3);
  rooms.forEach((room, i) =>
    view.text(count(room), x(i), bottom + 16, i === present ? palette.ink : palette.soft, "center"),
  );
  for (const line of lines) {
    drawLine(view, line, x, y);
    line.rates.forEach((rate, i) => drawDot(view, line, x(i), y(rate)));
  }
}

/** The lines at 0, a half and 1, and where a share lies. */
function drawShares(view: View, bottom: number): { left: number; right: number; y: (rate: number) => number } {
  const palette = colours();
  view.clear();
  const { g, width } = view;
  const [left, right, top] = [42, width - 6, 8];
  const y = (rate: number): number => bottom - rate * (bottom - top);
  for (const rate of [0, 0.5, 1]) {
    g.fillStyle = palette.line;
    g.fillRect(left, Math.round(y(rate)), right - left, 1);
    view.text(`${100 * rate}%`, left - 8, y(rate), palette.soft, "right");
  }
  return { left, right, y };
}

function drawLine(
  { g }: View,
  { rates, colour, width, dash = [] }: Line,
  x: (i: number) => number,
  y: (rate: number) => number,
): void {
  g.lineJoin = "round";
  g.strokeStyle = colours()[colour];
  g.lineWidth = width;
  g.setLineDash([...dash]);
  g.beginPath();
  // A gap stays one.
  rates.forEach((rate, i) => {
    if (Number.isNaN(rate)) return;
    if (Number.isNaN(rates[i - 1] ?? NaN)) g.moveTo(x(i), y(rate));
    else g.lineTo(x(i), y(rate));
  });
  g.stroke();
  g.setLineDash([]);
}

function drawDot({ g }: View, { colour, width }: Line, x: number, y: number): void {
  if (Number.isNaN(y)) return;
  g.fillStyle = colours()[colour];
  g.beginPath();
  g.arc(x, y, width + 1.5, 0, 2 * Math.PI);
  g.fill();
}

/** One cell a key: filled while held, paler as its ttl runs out, ringed while loading, with a dot where it was hit just now. */
export function drawKeyspace(view: View, names: readonly string[], lane: Lane, ttl: number, now: number): void {
  const palette = colours();
  view.clear();
  const { g, width, height } = view;
  const { cache, loading, lastHit } = lane;
  const side = Math.max(3, largestSide(names.length, width, height));
  const perRow = Math.max(1, Math.floor(width / side));
  const gap = side > 8 ? 2 : 1;
  const inner = side - gap;
  for (let i = 0; i < names.length; i++) {
    const [x, y] = [(i % perRow) * side, Math.floor(i / perRow) * side];
    if (y + side > height) break;
    const left = cache.remainingTtl(names[i]!);
    g.fillStyle = left === undefined ? palette.faint : palette.hit;
    if (left !== undefined) g.globalAlpha = 0.25 + 0.75 * Math.min(1, left / ttl || 1);
    g.fillRect(x, y, inner, inner);
    g.globalAlpha = 1;
    const since = now - lastHit[i]!;
    if (since < GLOW && !still.matches) {
      g.globalAlpha = 0.45 * (1 - since / GLOW);
      g.fillStyle = palette.ink;
      const dot = inner * 0.36;
      g.fillRect(x + (inner - dot) / 2, y + (inner - dot) / 2, dot, dot);
      g.globalAlpha = 1;
    }
    if (loading.has(i)) {
      g.strokeStyle = palette.load;
      g.lineWidth = 2;
      g.strokeRect(x + 1, y + 1, inner - 2, inner - 2);
    }
  }
}

function largestSide(cells: number, width: number, height: number): number {
  let side = Math.min(24, Math.floor(Math.sqrt((width * height) / cells)));
  while (side > 3 && Math.floor(width / side) * Math.floor(height / side) < cells) side--;
  return side;
}

/** The list of entries: its rows are made once and only written to. */
export class Recency {
  readonly #rows: { row: HTMLElement; key: HTMLElement; bar: HTMLElement; left: HTMLElement }[] = [];

  constructor(
    readonly list: HTMLElement,
    rows: number,
  ) {
    for (let i = 0; i < rows; i++) {
      const row = document.createElement("li");
      const [key, track, left] = ["span", "span", "span"].map((tag) => document.createElement(tag)) as [
        HTMLElement,
        HTMLElement,
        HTMLElement,
      ];
      const bar = document.createElement("i");
      track.className = "track";
      track.append(bar);
      left.className = "left";
      row.append(key, track, left);
      row.hidden = true;
      list.append(row);
      this.#rows.push({ row, key, bar, left });
    }
  }

  show({ cache }: Lane, ttl: number): void {
    const entries = cache.keys();
    for (const { row, key, bar, left } of this.#rows) {
      const { value, done } = entries.next() as IteratorResult<string, undefined>;
      row.hidden = done === true;
      if (done) continue;
      const remaining = cache.remainingTtl(value!) ?? 0;
      key.textContent = value!;
      bar.style.transform = `scaleX(${Math.min(1, remaining / ttl || 1).toFixed(3)})`;
      left.textContent = remaining === Infinity ? "∞" : `${(remaining / 1000).toFixed(1)} s`;
    }
  }
}
