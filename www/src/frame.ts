// All drawing and all numbers on the page go through one animation frame, however many events there were.

type Painter = (now: number) => boolean;

const painters = new Set<Painter>();
let asked = false;

/** Paints in the next frame, and in those after while the painter says that it is not done. */
export function paint(painter: Painter): void {
  painters.add(painter);
  if (!asked) {
    asked = true;
    requestAnimationFrame(run);
  }
}

function run(): void {
  asked = false;
  const now = performance.now();
  for (const painter of [...painters]) {
    painters.delete(painter);
    if (painter(now)) paint(painter);
  }
}

/** Lets through at most one call in `ms` milliseconds. */
export function everyMs(ms: number): (now: number) => boolean {
  let last = -Infinity;
  return (now) => {
    if (now - last < ms) return false;
    last = now;
    return true;
  };
}
