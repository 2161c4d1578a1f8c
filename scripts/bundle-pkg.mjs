// Makes of tsc's output what is shipped: the class in one file, which all entry points share, since Node takes twice as
// long for thirty small ones. Usage: bundle-pkg.mjs MODULES DIST VIRTUAL, the last for
// what only tests use.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
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
const inner = ["runtime/host", "core/core", "batches/batcher", "entries/partitions"];
for (const name of inner) {
  writeFileSync(
    join(modules, `${basename(name)}-test.js`),
    `import "./index.js";\nimport "./core/start.js";\nexport * from "./${name}.js";\n`,
  );
}
const entries = ["workerd", "browser", "inline", "init", "init-workerd"];
await build({
  ...shared,
  entryPoints: [
    ...entries.map((name) => ({ in: join(modules, `entrypoints/${name}.js`), out: `entrypoints/${name}` })),
    ...inner.map((name) => ({ in: join(modules, `${basename(name)}-test.js`), out: basename(name) })),
  ],
  outdir: dist,
  format: "esm",
  splitting: true,
  // Without a hash: a second shared file would have the same name, and that is an error.
  chunkNames: "nearcache",
});

await build({ ...shared, entryPoints: [join(modules, "entrypoints/virtual.js")], outdir: virtual, format: "esm" });

// The tiers share nothing with the class but what it hands them.
const tiers = ["tiers-inline", "tiers-workerd", "tiers-conformance"].map((name) => ({
  in: join(modules, `entrypoints/${name}.js`),
  out: `entrypoints/${name}`,
}));
await build({ ...shared, external: [...shared.external, "node:*"], entryPoints: tiers, outdir: dist, format: "esm" });

// Nor does the HTTP cache.
const http = ["http-inline", "http-workerd"].map((name) => ({
  in: join(modules, `entrypoints/${name}.js`),
  out: `entrypoints/${name}`,
}));
await build({ ...shared, entryPoints: http, outdir: dist, format: "esm" });

// For `require` where it does not take ES modules yet (Node before 20.19 and 22.12, Jest). CommonJS by its package.json.
const cjs = join(dist, "cjs");
const common = ["inline", "init", "tiers-inline", "tiers-conformance", "http-inline"];
await build({
  ...shared,
  entryPoints: common.map((name) => join(modules, `entrypoints/${name}.js`)),
  outdir: join(cjs, "entrypoints"),
  format: "cjs",
  platform: "node",
});
writeFileSync(join(cjs, "package.json"), '{ "type": "commonjs" }\n');

// Types: those that the entry points lead to. TypeScript takes an ES module's for `require` only in its newest settings, so
// CommonJS has the same again.
writeFileSync(
  join(modules, "core/core.d.ts"),
  "/** Not for use. */\nexport declare class Core {\n  private constructor();\n}\n",
);
function shipTypes(name, target, shipped = new Set()) {
  if (shipped.has(name)) return;
  shipped.add(name);
  const text = readFileSync(join(modules, name), "utf8");
  mkdirSync(dirname(join(target, name)), { recursive: true });
  writeFileSync(join(target, name), text);
  for (const [, path] of text.matchAll(/(?:from |import\()"(\.[^"]*)\.js"/g)) {
    shipTypes(join(dirname(name), `${path}.d.ts`), target, shipped);
  }
}
const others = ["tiers-inline", "tiers-workerd", "tiers-conformance", "http-inline", "http-workerd"];
for (const name of [...entries, ...others]) shipTypes(`entrypoints/${name}.d.ts`, dist);
for (const name of common) shipTypes(`entrypoints/${name}.d.ts`, cjs);
for (const name of ["nearcache", "nearcache-tiers", "nearcache-http"]) {
  writeFileSync(join(dist, `${name}.wasm.d.ts`), "declare const module: WebAssembly.Module;\nexport default module;\n");
}
