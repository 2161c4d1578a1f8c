import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** Compiles what of the suite no runtime takes as it is, beside itself: the file in TypeScript, and the contract's JSON. */
export function compile() {
  const folder = new URL("../contract/", import.meta.url);
  const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
  const cases = names.map((name) => `  ${JSON.stringify(name)}: ${readFileSync(new URL(name, folder), "utf8")}`);
  writeFileSync(new URL("suite/contract-cases.js", import.meta.url), `export default {\n${cases.join(",\n")}};\n`);
  const file = (name) => fileURLToPath(new URL(`suite/${name}`, import.meta.url));
  return build({
    entryPoints: [file("decorators.ts")],
    outfile: file("decorators.js"),
    target: "es2022",
    logLevel: "warning",
  });
}
