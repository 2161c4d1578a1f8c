// The picture of answers by where they came from: a bar each half second, the latest at the right.

import { RATE, SOURCES, WINDOWS, type Layers, type Source } from "./layers.js";
import { WINDOW } from "./lane.js";
import { colours, type Colour, type View } from "./view.js";

const COLOURS: Record<Source, Colour> = { memory: "hit", joined: "wait", near: "join", far: "lru", origin: "load" };
const PER_SECOND = 1000 / WINDOW;
const LABEL = 18;

export function drawLayers(view: View, { windows, marks }: Layers): void {
  const palette = colours();
  view.clear();
  const { g, width, height } = view;
  const [left, right, top, bottom] = [42, width - 6, LABEL + 4, height - 8];
  const most = 1.25 * RATE;
  const y = (rate: number): number => bottom - (Math.min(rate, most) / most) * (bottom - top);
  for (const rate of [0, RATE / 2, RATE]) {
    g.fillStyle = palette.line;
    g.fillRect(left, Math.round(y(rate)), right - left, 1);
    view.text(`${rate}/s`, left - 8, y(rate), palette.soft, "right");
  }
  const pitch = (right - left) / WINDOWS;
  windows.forEach((counts, i) => {
    const x = right - (windows.length - i) * pitch;
    let sum = 0;
    for (const source of SOURCES) {
      const from = y(sum);
      sum += counts[source] * PER_SECOND;
      g.fillStyle = palette[COLOURS[source]];
      g.fillRect(x, y(sum), pitch - 1, from - y(sum));
    }
  });
  // Labels that would lie on each other: the later is told.
  let free = right;
  for (const { what, ago } of [...marks].reverse()) {
    const x = right - ago * pitch;
    g.fillStyle = palette.ink;
    for (let at = top - 4; at < bottom; at += 6) g.fillRect(Math.round(x), at, 1, 3);
    const long = g.measureText(what).width;
    const start = Math.min(x + 4, right - long);
    if (start + long > free) continue;
    view.text(what, start, 8, palette.ink);
    free = start - 8;
  }
}
