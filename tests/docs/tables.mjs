// The tables of the documents hold what the code has, no more and no less.

import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { buildSync } from "esbuild";
import { read, root, table } from "./markdown.mjs";

/** The names in backticks of a cell. */
const names = (cell) => Array.from(cell.matchAll(/`([^`]+)`/g), ([, name]) => name);
const plain = (text) => text.replace(/[`",]|\.$/g, "").trim();

/** The options of a public interface, by name, each with its docs. */
function options(name) {
  const body = new RegExp(`^export interface ${name}<.*?^}`, "ms").exec(
    read("pkg/src/types/types.ts") + read("pkg/src/types/loader.ts"),
  )?.[0];
  assert.ok(body, `there is no interface ${name}`);
  return Object.fromEntries(
    Array.from(body.matchAll(/(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?^ {2}(?:readonly )?(\w+)\??:/gm), (member) => [
      member[2],
      (member[1] ?? "").replace(/\s*\n\s*\*\s*/g, " "),
    ]),
  );
}

/** What the docs say is the default. */
const documented = (docs) => /Default:? (`[^`]+`|[^.;]+(?:\.\w[^.;]*)*)/.exec(docs)?.[1];

function sources(folder, kind) {
  return readdirSync(path.join(root, folder), { recursive: true })
    .filter((file) => file.endsWith(kind))
    .map((file) => read(path.join(folder, file)))
    .join("\n");
}

export default {
  "the options of the cache are in the README's table, with their defaults"() {
    const all = { ...options("LifeOptions"), ...options("DefaultOptions"), ...options("NearCacheOptions") };
    const rows = table("pkg/README.md", "Options");
    assert.deepEqual(rows.flatMap(([option]) => names(option)).sort(), Object.keys(all).sort());
    let told = 0;
    for (const [option, , byDefault] of rows) {
      const wanted = documented(all[names(option)[0]]);
      const isValue = wanted !== undefined && /^[`"\d]|Infinity|Date|Math/.test(wanted);
      told += isValue;
      if (isValue) assert.equal(plain(byDefault), plain(wanted), option);
    }
    assert.ok(told > 8, `${told} defaults`);
  },

  "who may say an option is in the README's table"() {
    const speakers = { n: "DefaultOptions", g: "GetOrSetOptions", s: "SetOptions", l: "LoadContext" };
    const life = options("LifeOptions");
    for (const [option, , , also] of table("pkg/README.md", "Options")) {
      for (const [letter, name] of Object.entries(speakers)) {
        const has = {
          ...(letter === "l" ? {} : life),
          ...options(name),
          ...(letter === "g" ? options("SetOptions") : {}),
        };
        assert.equal(also.split(/[ ,]+/).includes(letter), names(option)[0] in has, `${option}, ${name}`);
      }
    }
  },

  "the options of calls are in the README's other table"() {
    const calls = { ...options("SetOptions"), ...options("GetOrSetOptions"), ...options("UpdateOptions"), details: "" };
    const general = table("pkg/README.md", "Options").flatMap(([option]) => names(option));
    const text = read("pkg/README.md");
    const rows = Array.from(
      text.slice(text.indexOf("| option | of |")).matchAll(/^\| `(\w+)` \|/gm),
      ([, name]) => name,
    );
    const listed = rows.slice(0, rows.findIndex((name) => name === "details") + 1);
    assert.deepEqual(
      listed.sort(),
      Object.keys(calls)
        .filter((name) => !general.includes(name))
        .sort(),
    );
  },

  "every code of an error is told, with what to do"() {
    const union = /export type NearCacheErrorCode =([^;]+);/.exec(read("pkg/src/options/errors.ts"))[1];
    const js = Array.from(union.matchAll(/"(ERR_\w+)"/g), ([, code]) => code);
    const used = new Set(`${sources("pkg/src", ".ts")}${sources("src", ".rs")}`.match(/\bERR_[A-Z_]+\b/g));
    const text = read("docs/errors.md");
    assert.deepEqual(
      names(table("docs/errors.md", "Errors").join())
        .filter((name) => /^ERR_/.test(name))
        .sort(),
      [...used].sort(),
    );
    for (const code of used) {
      const part = text.split(new RegExp(`^## \`${code}\`$`, "m"))[1]?.split(/^## /m)[0];
      assert.match(part ?? "", /^\*\*Do:\*\*/m, code);
    }
    const readme = table("pkg/README.md", "Errors").map(([code]) => names(code)[0]);
    assert.deepEqual(readme.sort(), js.sort());
  },

  "the crate's errors are told by their names"() {
    const arms = Array.from(read("src/error.rs").matchAll(/^ *(Self::[^=\n]*)=> "(ERR_\w+)"/gm));
    const codes = arms.flatMap(([, variants, code]) =>
      Array.from(variants.matchAll(/Self::(\w+)/g), ([, name]) => [code, name]),
    );
    assert.ok(codes.length > 5);
    const rows = table("docs/errors.md", "Errors");
    for (const [code, name] of codes) {
      assert.ok(
        rows.some((row) => row[0].includes(`\`${code}\``) && row[2].split(", ").includes(`\`LoadError::${name}\``)),
        `${code} ${name}`,
      );
    }
  },

  "the crate's options are in its README's table"() {
    const builder = read("src/engine/builder.rs");
    const made = Array.from(builder.matchAll(/pub fn (\w+)(?:<.*>)?\((?:mut )?self/g), ([, name]) => name);
    const rows = table("src/README.md", "Options");
    const listed = rows.flatMap(([option]) => names(option));
    const eviction = /^ +eviction: EvictionPolicy::(\w+),$/m.exec(builder)?.[1];
    // What is usual depends on a feature, which is on by default.
    const usual = /feature = "adaptive"\)\]\s+pub const DEFAULT: Self = Self::(\w+)/.exec(
      read("src/core/eviction/mod.rs"),
    )[1];
    assert.equal(eviction, "DEFAULT");
    assert.equal(rows.find(([option]) => option === "`eviction`")[1], `\`${usual}\``);
    assert.deepEqual(listed.sort(), made.filter((name) => name !== "build").sort());
  },

  "the crate's features are in its README's table"() {
    const declared = read("Cargo.toml")
      .split(/^\[features\]$/m)[1]
      .split(/^\[/m)[0];
    const features = Array.from(declared.matchAll(/^(\w+) = /gm), ([, name]) => name).filter(
      (name) => name !== "default",
    );
    const listed = table("src/README.md", "Features").map(([feature]) => names(feature)[0]);
    assert.deepEqual(listed.sort(), features.sort());
  },

  "the Worker's variables are in the README's table"() {
    const known = /^const KNOWN: .*?\[$(.*?)^\];/ms.exec(read("src/worker/config.rs"))[1];
    const variables = Array.from(known.matchAll(/"(\w+)"/g), ([, name]) => name);
    const listed = table("README.md", "As a Worker").flatMap(([variable]) => names(variable));
    assert.ok(variables.length > 20);
    assert.deepEqual(listed.sort(), variables.sort());
  },

  "the options and the rules of an HTTP cache are in its guide's tables"() {
    const listed = table("docs/http.md", "In JavaScript: `nearcache/http`").flatMap(([option]) => names(option));
    const body = /^export interface HttpCacheOptions \{$(.*?)^\}/ms.exec(read("pkg/src/http/types.ts"))[1];
    const options = Array.from(body.matchAll(/^ {2}(\w+)\?:/gm), ([, name]) => name);
    assert.deepEqual(listed.sort(), options.sort());
    const known = /^const SETTINGS: .*?\[$(.*?)^\];/ms.exec(read("src/http/rule/settings.rs"))[1];
    const settings = Array.from(known.matchAll(/"(\w+)"/g), ([, name]) => name);
    const ruled = table("docs/http.md", "Rules").flatMap(([setting]) =>
      names(setting).map((name) => name.split(".")[0]),
    );
    assert.deepEqual([...new Set(ruled)].sort(), settings.sort());
  },

  "sizes are as the README says"() {
    const zipped = (bytes) => gzipSync(bytes, { level: 9 }).length / 1000;
    const bundled = (entry) => {
      const file = path.join(root, `pkg/dist/entrypoints/${entry}.js`);
      const options = { bundle: true, minify: true, format: "esm", write: false, external: ["node:*"] };
      return zipped(buildSync({ entryPoints: [file], ...options }).outputFiles[0].contents);
    };
    const sizes = {
      "wasm is (\\d+) KB gzipped": zipped(readFileSync(path.join(root, "pkg/dist/nearcache.wasm"))),
      "wasm of its own, of (\\d+) KB": zipped(readFileSync(path.join(root, "pkg/dist/nearcache-tiers.wasm"))),
      "nearcache/http` one of (\\d+) KB": zipped(readFileSync(path.join(root, "pkg/dist/nearcache-http.wasm"))),
      "JavaScript (\\d+) KB minified": bundled("init"),
      "both together take (\\d+) KB": bundled("inline"),
    };
    const text = read("pkg/README.md").replace(/\s+/g, " ");
    for (const [told, size] of Object.entries(sizes)) {
      assert.ok(Math.abs(new RegExp(told).exec(text)[1] - size) < 2, `${told}: ${size} KB`);
    }
  },

  "the packages' pages have the repository's figures"() {
    const [ofClass, ofCrate] = read("README.md").split("## Figures")[1].split("\nCrate, ");
    /** What a table has in its first column of figures, by row. A cell may hold a measure, and its ratio in parentheses. */
    const figures = (text) =>
      new Map(
        Array.from(text.matchAll(/^\| ([^|]+) \| (\d[^|]*) \|/gm), ([, name, cell]) => [
          name,
          /\((.*)\)/.exec(cell)?.[1] ?? cell,
        ]),
      );
    for (const [file, whole] of [
      ["pkg/README.md", ofClass],
      ["src/README.md", ofCrate],
    ]) {
      const known = figures(whole);
      const told = [...figures(read(file).split("By measure")[1])].filter(([name]) => known.has(name));
      assert.ok(told.length >= 3, `${file}: ${told.length} rows`);
      for (const [name, figure] of told) assert.equal(figure, known.get(name), `${file}: ${name}`);
    }
  },

  "what Prometheus is told is in the guide"() {
    const made = Array.from(
      read("pkg/src/figures/prometheus.ts").matchAll(/(?:counters?|gauge|histogram)\("(\w+)"/g),
      ([, name]) => name,
    );
    const guide = read("docs/guides/operating.md");
    const missing = made.filter((name) => !new RegExp(`\\bnearcache_${name}(_total|_bucket|\\b)`).test(guide));
    assert.ok(made.length > 10);
    assert.deepEqual(missing, []);
  },
};
