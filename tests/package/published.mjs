// What is in the package: its files, its version, its types.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { packed, project, root, run } from "./harness.mjs";

const contents = packed.files;

export default {
  "the tarball holds what the package needs, and nothing else"() {
    const wanted = [
      /^package\.json$/,
      /^(README|CHANGELOG)\.md$/,
      /^LICENSE-(MIT|APACHE)$/,
      /^dist\/nearcache(-tiers|-http)?\.(wasm|wasm\.d\.ts)$/,
      /^dist\/nearcache\.js$/,
      /^dist\/entrypoints\/(workerd|browser|inline|init|init-workerd|tiers-inline|tiers-workerd|tiers-conformance|http-inline|http-workerd)\.js$/,
      /^dist\/cjs\/entrypoints\/(inline|init|tiers-inline|tiers-conformance|http-inline)\.js$/,
      /^dist\/cjs\/package\.json$/,
    ];
    const typesOfASource = ({ path: file }) => {
      const module = /^dist\/(?:cjs\/)?(.+)\.d\.ts$/.exec(file)?.[1];
      return module !== undefined && existsSync(path.join(root, `pkg/src/${module}.ts`));
    };
    const strange = contents.filter(
      (file) => !typesOfASource(file) && !wanted.some((pattern) => pattern.test(file.path)),
    );
    assert.deepEqual(strange, []);
    for (const needed of [
      "README.md",
      "CHANGELOG.md",
      "LICENSE-MIT",
      "LICENSE-APACHE",
      "dist/nearcache.js",
      "dist/index.d.ts",
    ]) {
      assert.ok(
        contents.find(({ path, size }) => path === needed && size > 0),
        `${needed} is missing or empty`,
      );
    }
    const own = JSON.parse(readFileSync(path.join(root, "pkg/package.json"), "utf8"));
    const targets = [own.types, ...leaves(own.exports)];
    for (const target of targets)
      assert.ok(
        contents.some((file) => `./${file.path}` === target),
        `${target} is missing`,
      );
    assert.deepEqual(
      [own.dependencies, own.scripts],
      [undefined, undefined],
      "nothing more is installed or run at the user's",
    );
  },

  "crate and package have one version"() {
    const crate = /^version = "(.*)"$/m.exec(readFileSync(path.join(root, "Cargo.toml"), "utf8"))[1];
    assert.equal(JSON.parse(readFileSync(path.join(root, "pkg/package.json"), "utf8")).version, crate);
  },

  "the built files name no folder of the machine that built them"() {
    const folders = [root.replace(/\/$/, ""), process.env.HOME, process.env.CARGO_HOME].filter(
      (folder) => folder?.length > 2,
    );
    for (const { path: name } of contents) {
      const file = readFileSync(path.join(root, "pkg", name), "latin1");
      for (const folder of folders) assert.ok(!file.includes(`${folder}/`), `${name} names ${folder}`);
    }
  },

  "strict TypeScript finds its types, generic in key and value, and wrong use is an error"() {
    const folder = project("types");
    const strict = {
      strict: true,
      noEmit: true,
      skipLibCheck: false,
      target: "ES2022",
      exactOptionalPropertyTypes: true,
    };
    const all = ["index.ts", "entries.ts", "files.ts"];
    const settings = {
      bundler: { module: "ESNext", moduleResolution: "bundler", lib: ["ES2022", "DOM"], types: [], files: all },
      nodenext: { module: "nodenext", moduleResolution: "nodenext", lib: ["ES2022", "DOM"], types: [], files: all },
      node16: {
        module: "node16",
        moduleResolution: "node16",
        lib: ["ES2022", "DOM"],
        types: [],
        files: ["common.cts", "index.ts", "files.ts"],
      },
      // Without DOM's types, in a Worker: those of Cloudflare, which don't pass their own check with skipLibCheck off.
      worker: {
        module: "ESNext",
        moduleResolution: "bundler",
        customConditions: ["workerd"],
        lib: ["ES2022"],
        skipLibCheck: true,
        types: [path.join(root, "node_modules/@cloudflare/workers-types")],
      },
    };
    for (const [name, { files = ["index.ts", "entries.ts"], ...options }] of Object.entries(settings)) {
      const config = path.join(folder, `${name}.json`);
      writeFileSync(config, JSON.stringify({ compilerOptions: { ...strict, ...options }, files }));
      run("tsc", ["-p", config], folder);
    }
  },
};

/** The file names in a tree of conditions. */
function leaves(tree) {
  return Object.values(tree).flatMap((branch) => (typeof branch === "string" ? branch : leaves(branch)));
}
