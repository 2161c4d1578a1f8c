// Runs each file of examples/guide in Node and compares what it prints with what it says it prints.

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../../examples/guide/", import.meta.url));
const root = fileURLToPath(new URL("../../", import.meta.url));

let failed = 0;
const files = readdirSync(folder).filter((name) => /\.(mjs|ts)$/.test(name));
for (const name of files) {
  const wanted = readFileSync(folder + name, "utf8")
    .split("\n// prints:\n")[1]
    ?.replace(/^\/\/ ?/gm, "");
  const { stdout, stderr, status } = name.endsWith(".ts") ? typed(name) : node(folder + name);
  if (status === 0 && wanted !== undefined && stdout === wanted) continue;
  failed++;
  console.log(`guide: FAILED ${name}, exit ${status}\n--- printed\n${stdout}--- wanted\n${wanted}${stderr}`);
}
console.log(`${files.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 && files.length > 0 ? 0 : 1;

function node(file) {
  return spawnSync(process.execPath, [file], { encoding: "utf8", timeout: 30_000 });
}

/** Standard decorators are not in Node 22, so TypeScript goes through esbuild. */
function typed(name) {
  const out = `${folder}${name}.mjs`;
  const built = spawnSync(
    `${root}node_modules/.bin/esbuild`,
    [folder + name, `--outfile=${out}`, "--target=es2022", "--format=esm"],
    { encoding: "utf8" },
  );
  try {
    return built.status === 0 ? node(out) : built;
  } finally {
    rmSync(out, { force: true });
  }
}
