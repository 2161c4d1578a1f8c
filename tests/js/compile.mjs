import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** Compiles the one file of the suite that is TypeScript, beside itself. */
export function compile() {
  const file = (name) => fileURLToPath(new URL(`suite/${name}`, import.meta.url));
  return build({
    entryPoints: [file("decorators.ts")],
    outfile: file("decorators.js"),
    target: "es2022",
    logLevel: "warning",
  });
}
