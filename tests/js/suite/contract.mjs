// The contract of both faces: what tests/contract/*.json says (README there) is what happens.

import { test } from "../runner.mjs";
import { difference } from "../contract/compare.mjs";
import { run } from "../contract/face.mjs";
import files from "./contract-cases.js";

const hasRequests = typeof Promise.withResolvers === "function";

for (const [file, cases] of Object.entries(files)) {
  for (const testCase of cases) {
    const { title, only, mode, why } = testCase;
    if ((only !== undefined && only !== "js") || (mode === "requests" && !hasRequests)) {
      const reason = hasRequests
        ? `for ${only} only: ${why}`
        : "Promise.withResolvers is missing, and with it requests";
      console.log(`contract, ${file}: NOT RUN: ${title}: ${reason}`);
      continue;
    }
    test(`contract, ${file}: ${title}`, { realTime: "a case makes a world of its own" }, async () => {
      const differs = difference(testCase, await run(testCase));
      if (differs !== undefined) throw new Error(differs.replaceAll("\n", " "));
    });
  }
}
