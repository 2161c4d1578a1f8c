// The contract of both faces: what tests/contract/*.json says (README there) is what happens.

import { test } from "../runner.mjs";
import { difference } from "../contract/compare.mjs";
import { run } from "../contract/face.mjs";
import files from "./contract-cases.js";

for (const [file, cases] of Object.entries(files)) {
  for (const testCase of cases) {
    test(`contract, ${file}: ${testCase.title}`, async () => {
      const { lines } = await run(testCase);
      const differs = difference(testCase, lines);
      if (differs !== undefined) throw new Error(differs.replaceAll("\n", " "));
    });
  }
}
