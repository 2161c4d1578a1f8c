// Makes of tsc's output what is shipped: the class in one file, which all entry points share, since Node takes twice as
// long for thirty small ones. Usage: bundle-pkg.mjs MODULES DIST VIRTUAL, the last for
// what only tests use.

import { cpSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "esbuild";

const [modules, dist, virtual] = process.argv.slice(2).map((folder) => resolve(folder));
const shared = {
  bundle: true,
  target: "es2022",
  external: ["*.wasm", "cloudflare:*"],
  legalComments: "inline",
  logLevel: "warning",
};

// Inner modules that tests look into. Each reaches all the others, so that it shares the one file with the entry points.
const inner = ["host", "batcher", "partitions"];
for (const name of inner) {
  writeFileSync(
    join(modules, `${name}-test.js`),
    `import "./index.js";\nimport "./start.js";\nexport * from "./${name}.js";\n`,
  );
}
const entries = ["workerd", "browser", "inline", "init", "init-workerd"];
await build({
  ...shared,
  entryPoints: [
    ...entries.map((name) => ({ in: join(modules, `entrypoints/${name}.js`), out: `entrypoints/${name}` })),
    ...inner.map((name) => ({ in: join(modules, `${name}-test.js`), out: name })),
  ],
  outdir: dist,
  format: "esm",
  splitting: true,
  // Without a hash: a second shared file would have the same name, and that is an error.
  chunkNames: "nearcache",
});

await build({ ...shared, entryPoints: [join(modules, "entrypoints/virtual.js")], outdir: virtual, format: "esm" });

// For `require` where it does not take ES modules yet (Node before 20.19 and 22.12, Jest). CommonJS by its package.json.
const cjs = join(dist, "cjs");
await build({
  ...shared,
  entryPoints: ["inline", "init"].map((name) => join(modules, `entrypoints/${name}.js`)),
  outdir: join(cjs, "entrypoints"),
  format: "cjs",
  platform: "node",
});
writeFileSync(join(cjs, "package.json"), '{ "type": "commonjs" }\n');

// Types: TypeScript takes an ES module's for `require` only in its newest settings, so CommonJS has the same again.
const types = (folder) => readdirSync(join(modules, folder)).filter((name) => name.endsWith(".d.ts"));
const unshipped = ["core.d.ts", "host.d.ts", "virtual.d.ts"];
for (const target of [dist, cjs]) {
  for (const folder of [".", "entrypoints"]) {
    for (const name of types(folder).filter((name) => !unshipped.includes(name))) {
      cpSync(join(modules, folder, name), join(target, folder, name));
    }
  }
}
writeFileSync(join(dist, "nearcache.wasm.d.ts"), "declare const module: WebAssembly.Module;\nexport default module;\n");
