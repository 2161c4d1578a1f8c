// What the documents say, held against the project: links, tables, and every example. `--only=part of a title`.

import examples from "./examples.mjs";
import links from "./links.mjs";
import scale from "./scale.mjs";
import site from "./site.mjs";
import tables from "./tables.mjs";

const only = process.argv[2]?.replace("--only=", "") ?? "";
let passed = 0;
let failed = 0;
for (const [name, body] of Object.entries({ ...links, ...tables, ...scale, ...examples, ...site })) {
  if (!name.includes(only)) continue;
  try {
    await body();
    passed++;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}\n        ${String(error.stack).replaceAll("\n", "\n        ")}`);
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
