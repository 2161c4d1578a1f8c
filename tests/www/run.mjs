// The page in headless Chromium: its buttons are pressed and its numbers read. Screenshots go to build/screenshots.

import { end } from "./harness.mjs";

let well = false;
try {
  for (const part of ["storm", "traffic", "layers", "screens"]) await import(`./${part}.mjs`);
} finally {
  well = await end();
}
process.exit(well ? 0 : 1);
