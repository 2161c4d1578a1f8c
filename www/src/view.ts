// A canvas in CSS pixels, sharp on every screen, with the page's colours.

import { paint } from "./frame.js";

const COLOURS = ["ink", "soft", "line", "faint", "wait", "load", "join", "hit", "fail", "lru"] as const;
export type Colour = (typeof COLOURS)[number];
export type Palette = Record<Colour, string>;

export const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
let palette: Palette | undefined;
dark.addEventListener("change", () => (palette = undefined));

export function colours(): Palette {
  if (palette === undefined) {
    const style = getComputedStyle(document.documentElement);
    palette = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as Palette;
  }
  return palette;
}

export class View {
  readonly g: CanvasRenderingContext2D;
  width = 0;
  height = 0;
  readonly font: string;

  /** `redraw` is painted when the size or the colours have changed. */
  constructor(
    readonly canvas: HTMLCanvasElement,
    redraw: (now: number) => boolean,
  ) {
    this.g = canvas.getContext("2d")!;
    this.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    new ResizeObserver(() => {
      this.#fit();
      paint(redraw);
    }).observe(canvas);
    dark.addEventListener("change", () => paint(redraw));
    this.#fit();
  }

  #fit(): void {
    const { clientWidth, clientHeight } = this.canvas;
    const scale = devicePixelRatio;
    this.width = clientWidth;
    this.height = clientHeight;
    const [width, height] = [Math.round(clientWidth * scale), Math.round(clientHeight * scale)];
    if (this.canvas.width === width && this.canvas.height === height) return;
    this.canvas.width = width;
    this.canvas.height = height;
  }

  clear(): void {
    this.g.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    this.g.clearRect(0, 0, this.width, this.height);
    this.g.font = this.font;
    this.g.textBaseline = "middle";
  }

  text(text: string, x: number, y: number, colour: string, align: CanvasTextAlign = "left"): void {
    this.g.fillStyle = colour;
    this.g.textAlign = align;
    this.g.fillText(text, x, y);
  }

  /** Many dots of one colour in one path. */
  dots(places: Float64Array, count: number, diameter: number, colour: string): void {
    const { g } = this;
    g.fillStyle = colour;
    g.beginPath();
    const radius = diameter / 2;
    for (let i = 0; i < 2 * count; i += 2) {
      const x = places[i]!;
      const y = places[i + 1]!;
      if (diameter < 3.2) g.rect(x - radius, y - radius, diameter, diameter);
      else {
        g.moveTo(x + radius, y);
        g.arc(x, y, radius, 0, 2 * Math.PI);
      }
    }
    g.fill();
  }
}
