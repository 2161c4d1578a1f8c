// The npm package as its users get it: packed, installed into fresh projects outside this repository, and run in
// each kind of runtime and bundler. `--only=part of a title`.

import bundles from "./bundles.mjs";
import { closeChromium, packed } from "./harness.mjs";
import pages from "./pages.mjs";
import published from "./published.mjs";
import runtimes from "./runtimes.mjs";

const only = process.argv[2]?.replace("--only=", "") ?? "";
let passed = 0;
let failed = 0;

console.log(
  `${packed.filename}: ${packed.files.length} files, ${packed.size} bytes packed, ${packed.unpackedSize} unpacked`,
);
for (const [name, body] of Object.entries({ ...published, ...runtimes, ...bundles, ...pages })) {
  if (!name.includes(only)) continue;
  const start = Date.now();
  try {
    await body();
    passed++;
    console.log(`ok      ${name} (${Date.now() - start} ms)`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}\n        ${String(error.stack).replaceAll("\n", "\n        ")}`);
  }
}
await closeChromium();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
