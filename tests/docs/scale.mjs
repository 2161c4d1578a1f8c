// The figures of docs/scale.md are those of the simulation. The tables that are made in a moment are made again; `scripts/simulate
// --docs=docs/scale.md` makes all of them.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { read, root } from "./markdown.mjs";

/** Tables that take seconds. */
const QUICK = ["herd", "faults"];
const DOCUMENT = "docs/scale.md";

/** The tables of the document by the names in the comments above them. */
function tables(text) {
  const found = text.matchAll(/^<!-- scripts\/simulate --table=(\w+) -->\n\n((?:\|.*\n)+)/gm);
  return Object.fromEntries(Array.from(found, ([, name, rows]) => [name, rows.trim().split("\n")]));
}

/** Numbers to within a fifth, since another machine's sines and logarithms differ in the last digit; words exactly. */
function isClose(said, made) {
  const words = (row) => row.replace(/[\d.,]+/g, "#");
  const numbers = (row) => Array.from(row.matchAll(/\d[\d.]*/g), Number);
  const close = (a, b) => Math.abs(a - b) <= 0.2 * Math.max(a, b) + 3;
  const [a, b] = [numbers(said.replaceAll(",", "")), numbers(made.replaceAll(",", ""))];
  return words(said) === words(made) && a.length === b.length && a.every((number, at) => close(number, b[at]));
}

export default {
  "each place of a table in docs/scale.md has one, and the simulation knows it"() {
    const text = read(DOCUMENT);
    const named = Array.from(text.matchAll(/^<!-- scripts\/simulate --table=(\w+) -->/gm), ([, name]) => name);
    assert.deepEqual(Object.keys(tables(text)), named);
    assert.ok(named.length > 5, `${named}`);
    for (const name of named) assert.match(read("tests/edge/tables.rs"), new RegExp(`name: "${name}"`));
  },

  "prices in docs/scale.md are those that the simulation counts by"() {
    const source = read("tests/edge/sim/price.rs");
    const prices = Object.fromEntries(
      Array.from(source.matchAll(/\("(\w+)", ([\d.]+)\)/g), ([, unit, price]) => [unit, +price]),
    );
    const rows = Array.from(read(DOCUMENT).matchAll(/^\| (`\w+`(?:, `\w+`)*) \| ([\d., ]+) \|/gm));
    const said = rows.flatMap(([, units, dollars]) => {
      const each = dollars.split(", ").map(Number);
      return units.split(", ").map((unit, at) => [unit.slice(1, -1), each[at] ?? each[0]]);
    });
    assert.deepEqual(Object.fromEntries(said.sort()), Object.fromEntries(Object.entries(prices).sort()));
  },

  "figures in docs/scale.md are what the simulation prints"() {
    const said = tables(read(DOCUMENT));
    for (const name of QUICK) {
      const command = path.join(root, "scripts/simulate");
      const { status, stdout, stderr } = spawnSync(command, [`--table=${name}`], {
        encoding: "utf8",
        timeout: 400_000,
      });
      assert.equal(status, 0, stderr);
      const made = stdout
        .trim()
        .split("\n")
        .filter((line) => line.startsWith("|"));
      assert.equal(made.length, said[name].length, name);
      made.forEach((row, at) => assert.ok(isClose(said[name][at], row), `${name}: ${said[name][at]}\nis now ${row}`));
    }
  },
};
