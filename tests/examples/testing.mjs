// Runs examples/testing, each with its own test runner, and checks that all its tests were run.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = (name) => fileURLToPath(new URL(`../../examples/testing/${name}/`, import.meta.url));
const jest = fileURLToPath(new URL("../../node_modules/jest/bin/jest.js", import.meta.url));
const vitest = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url));

let passed = 0;
let failed = 0;
runs("Vitest", "vitest", "users.test.mjs", [vitest, "run"]);
runs("Jest", "jest", "users.test.js", [jest]);
runs("Jest with ES modules", "jest", "users.esm.test.mjs", [
  "--experimental-vm-modules",
  jest,
  "--testMatch",
  "**/*.test.mjs",
]);
runs("Cloudflare's pool for Vitest", "workers-pool", "users.test.mjs", [vitest, "run"]);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function runs(runner, name, file, args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: folder(name),
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, CI: "true", NO_COLOR: "1" },
  });
  const output = stdout + stderr;
  const wanted = readFileSync(folder(name) + file, "utf8").match(/^test\(/gm).length;
  const ran = Number(/^ *Tests:? .*?(\d+) passed/m.exec(output)?.[1] ?? 0);
  if (status === 0 && ran === wanted) {
    passed += ran;
    console.log(`ok      ${runner}: ${ran} tests`);
  } else {
    failed += Math.max(1, wanted - ran);
    passed += ran;
    console.log(`FAILED  ${runner}: ${ran} of ${wanted} tests passed, exit ${status}\n${output}`);
  }
}
