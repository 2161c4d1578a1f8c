// Every example is run: JavaScript and TypeScript in Node with the built package, Workers in workerd; TypeScript is
// checked too. Rust's are doctests of the package beside this file. What `// prints` says must be what is printed.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { blocks, guides, read, root } from "./markdown.mjs";
import { serveOnce } from "./worker.mjs";

const out = path.join(root, "build/docs-examples");
const bin = (name) => path.join(root, "node_modules/.bin", name);

const all = guides().flatMap(blocks);
const isScript = ({ language }) => language === "js" || language === "ts";
const own = all.filter((block) => !block.notRun && !block.from);
const scripts = own.filter(isScript).map((block, at) => {
  const name = `${block.file.replace(/\.md$/, "").replaceAll("/", "-")}-${block.line}-${at}`;
  const code = `${block.with ? `${block.with}\n` : ""}${block.text}\nexport {};\n`;
  const isWorker = /^export default /m.test(code);
  const script = path.join(out, isWorker ? "worker" : "node", `${name}.${block.language === "ts" ? "ts" : "mjs"}`);
  return { ...block, code, script, isWorker };
});

rmSync(out, { recursive: true, force: true });
for (const kind of ["node", "worker"]) mkdirSync(path.join(out, kind), { recursive: true });
for (const { script, code } of scripts) writeFileSync(script, code);

const where = ({ file, line }) => `${file}:${line}`;
/** What the code says it prints, line by line. */
const wanted = (code) => Array.from(code.matchAll(/\/\/ prints (.*)$/gm), ([, text]) => text);

function run(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: root, encoding: "utf8", timeout: 60_000 });
  return { status, stdout, said: `${error ?? ""}${stdout}${stderr}` };
}

function checkTypes(kind, types, lib) {
  const include = scripts.filter(({ language, isWorker }) => language === "ts" && isWorker === (kind === "worker"));
  const compilerOptions = {
    ...{ target: "es2022", module: "esnext", moduleResolution: "bundler", noEmit: true, strict: true },
    ...{ exactOptionalPropertyTypes: true, types, lib, skipLibCheck: true },
  };
  writeFileSync(
    path.join(out, kind, "tsconfig.json"),
    JSON.stringify({ compilerOptions, files: include.map(({ script }) => path.basename(script)) }),
  );
  const { status, said } = run(bin("tsc"), ["-p", path.join(out, kind)]);
  assert.equal(status, 0, said);
  assert.ok(include.length > 0, "there are some");
}

/** TypeScript without its types. */
function javascript({ script, language }) {
  if (language !== "ts") return script;
  const made = script.replace(/\.ts$/, ".made.mjs");
  const { status, said } = run(bin("esbuild"), [script, `--outfile=${made}`, "--format=esm", "--target=es2022"]);
  assert.equal(status, 0, said);
  return made;
}

const tests = {
  "TypeScript for Node fits the types"() {
    checkTypes("node", ["node"], ["es2024", "esnext.disposable", "esnext.decorators", "dom", "dom.iterable"]);
  },
  "TypeScript for Workers fits the types"() {
    checkTypes("worker", ["@cloudflare/workers-types"], ["es2024", "esnext.disposable"]);
  },
};

for (const example of scripts) {
  const { script, code, isWorker, answers = "{}" } = example;
  tests[`${where(example)} ${isWorker ? "serves" : "runs"}`] = isWorker
    ? () => serveOnce(script, answers)
    : () => {
        const { status, stdout, said } = run(process.execPath, [javascript(example)]);
        assert.equal(status, 0, said);
        assert.deepEqual(stdout.split("\n").slice(0, -1), wanted(code), said);
      };
}

for (const block of all.filter(({ from }) => from)) {
  tests[`${where(block)} is part of ${block.from}`] = () => {
    const plain = (text) => text.replace(/^\s+|\s+$/gm, "").replace(/\n+/g, "\n");
    const parts = plain(block.text).split(/\n(?:\/\/|#) …\n/);
    const whole = plain(read(block.from));
    for (const part of parts) assert.ok(whole.includes(part), `not in ${block.from}:\n${part}`);
  };
}

Object.assign(tests, {
  "Rust's examples are doctests"() {
    const lib = read("tests/docs/lib.rs");
    const files = new Set(own.filter(({ language }) => language === "rust").map(({ file }) => file));
    for (const file of files) assert.ok(lib.includes(`"../../${file}"`), `tests/docs/lib.rs does not include ${file}`);
    assert.ok(files.size > 0);
  },

  "every block names its language, and those that are not run say why"() {
    const known = new Set(["js", "ts", "rust", "sh", "text", "json", "toml", "yaml", "html", "promql"]);
    assert.deepEqual(all.filter(({ language }) => !known.has(language)).map(where), []);
    assert.deepEqual(all.filter(({ notRun }) => notRun === "").map(where), []);
    assert.deepEqual(own.filter(({ info }) => /ignore|no_run|compile_fail/.test(info)).map(where), []);
    const code = all.filter((block) => isScript(block) || block.language === "rust");
    assert.ok(code.length > 15, `${code.length} examples`);
  },

  "the dashboard asks for what there is, in a language that Prometheus reads"() {
    const { panels } = JSON.parse(read("docs/guides/grafana.json"));
    const asked = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    assert.ok(asked.length > 8);
    const guide = read("docs/guides/operating.md");
    for (const [name] of asked.join("\n").matchAll(/\bnearcache_\w+/g)) {
      assert.ok(guide.includes(`\`${name.replace(/_bucket$/, "")}\``), name);
    }
    // As Grafana would put them.
    const rules = asked.map((expr, at) => {
      const filled = expr.replaceAll("$__rate_interval", "5m").replaceAll("$cache", ".*");
      return { record: `panel:${at}`, expr: filled };
    });
    const file = path.join(out, "dashboard.yaml");
    writeFileSync(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
    const { status, said } = run(process.env.PROMTOOL ?? "promtool", ["check", "rules", file]);
    assert.equal(status, 0, said);
  },

  "the dashboard is one by Grafana's own types"() {
    const board = read("docs/guides/grafana.json");
    const file = path.join(out, "dashboard.ts");
    writeFileSync(
      file,
      `import type { Dashboard } from "@grafana/schema";\nexport const board: Dashboard = ${board};\n`,
    );
    const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler"];
    const { status, said } = run("tsc", [...options, file]);
    assert.equal(status, 0, said);
    // What types don't tell: panels have numbers and places of their own.
    const { panels } = JSON.parse(board);
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const overlaps = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
    for (const [at, { gridPos: one }] of panels.entries()) {
      assert.ok(
        one.x + one.w <= 24 && !panels.slice(at + 1).some(({ gridPos }) => overlaps(one, gridPos)),
        `panel ${at}`,
      );
    }
  },

  "rules for Prometheus are read by its own tool"() {
    const rules = all.filter(({ language, text }) => language === "yaml" && /^groups:/.test(text));
    assert.ok(rules.length > 0);
    for (const [at, { text }] of rules.entries()) {
      const file = path.join(out, `rules-${at}.yaml`);
      writeFileSync(file, text);
      const { status, said } = run(process.env.PROMTOOL ?? "promtool", ["check", "rules", file]);
      assert.equal(status, 0, said);
    }
  },
});

export default tests;
