// Keys of wrapped functions. That no two lists of arguments share one is what keeps answers apart.

import { NearCache } from "nearcache";
import { context, equal, ok, randomFrom, rejects, test, throws } from "../runner.mjs";

const { key } = new NearCache().wrap((...args) => args.length);

const bytes = (...numbers) => new Uint8Array(numbers);
const regExp = (lastIndex) => Object.assign(/a/g, { lastIndex });

// Lists of arguments, no two of which may have one key.
const different = [
  [],
  [undefined],
  [null],
  [undefined, undefined],
  [null, undefined],
  [true],
  [false],
  ["true"],
  [0],
  ["0"],
  [0n],
  [""],
  ["", ""],
  [1],
  ["1"],
  [1n],
  [NaN],
  ["NaN"],
  [Infinity],
  [-Infinity],
  [1.5],
  [-1],
  ["-1"],
  ["undefined"],
  ["null"],
  ["a", "b"],
  ["ab"],
  ["a,b"],
  ["a", "b", undefined],
  [["a", "b"]],
  [["a"], ["b"]],
  [[["a", "b"]]],
  [["a", ["b"]]],
  [[]],
  [[[]]],
  [[], []],
  [[undefined]],
  [[null]],
  [{}],
  [{}, {}],
  [{ a: undefined }],
  [{ a: null }],
  [{ a: 1 }],
  [{ a: "1" }],
  [{ a: 1n }],
  [{ a: 1, b: 2 }],
  [{ a: { b: 2 } }],
  [{ a: 1 }, { b: 2 }],
  [{ a: [] }],
  [{ a: {} }],
  [{ "": 1 }],
  [{ "a:1": 1 }],
  [JSON.parse('{"__proto__": 1}')],
  [["a", 1]],
  [{ 0: "a", 1: 1 }],
  [{ length: 0 }],
  [new Date(0)],
  [new Date(1)],
  [new Date(NaN)],
  ["1970-01-01T00:00:00.000Z"],
  [/a/],
  [/a/g],
  [/b/],
  [regExp(1)],
  ["/a/"],
  [new URL("http://a/")],
  ["http://a/"],
  [new URL("http://a/b")],
  [new URLSearchParams("a=1")],
  ["a=1"],
  [new URLSearchParams("a=1&a=2")],
  [new Map()],
  [new Map([["a", 1]])],
  [new Map([["a", new Map()]])],
  [new Map([[{ a: 1 }, 1]])],
  [new Map([[1, "a"]])],
  [
    new Map([
      ["a", 1],
      ["b", 2],
    ]),
  ],
  [new Set()],
  [new Set(["a"])],
  [new Set(["a", 1])],
  [new Set([["a", 1]])],
  [new Set([new Set()])],
  [bytes()],
  [bytes(0)],
  [bytes(1)],
  [bytes(0, 0)],
  [bytes(1).buffer],
  [Int8Array.of(1)],
  [new DataView(bytes(1).buffer)],
  [[1]],
  [Uint16Array.of(1)],
  [bytes(1, 0)],
  [Float64Array.of(1)],
  [BigInt64Array.of(1n)],
  [Uint8ClampedArray.of(1)],
  // Texts that look like what a key is made of.
  ["\0\0"],
  ["\0#1;"],
  ['\0"1:a'],
  [key()],
  [key("a", "b")],
  [key([])],
  [key({ a: 1 })],
  ['"1:a'],
  ["#1;"],
  ["T"],
  ["["],
  ["]"],
  ["{}"],
  ["@1;"],
  ['a"1:b', "c"],
  ["a", '1:b"c'],
  ['"1:a', '"1:b'],
  [";", "#"],
  [";#"],
  ["[", "]"],
  [true, "F"],
  [undefined, "U"],
  [{ "}": "{" }],
  [{ '"1:a': 1 }],
];

test("different arguments have different keys", () => {
  const keys = new Map();
  for (const args of different) {
    const made = key(...args);
    ok(
      !keys.has(made),
      `${different.indexOf(args)} and ${keys.get(made)} have one key ${String(made)}: that they differ`,
    );
    keys.set(made, different.indexOf(args));
  }
});

test("equal arguments have equal keys, whatever the order of properties and entries", () => {
  const pairs = [
    [[{ a: 1, b: { c: 2, d: 3 } }], [{ b: { d: 3, c: 2 }, a: 1 }]],
    [
      [
        new Map([
          ["a", 1],
          ["b", 2],
        ]),
      ],
      [
        new Map([
          ["b", 2],
          ["a", 1],
        ]),
      ],
    ],
    [[new Set([1, "1", { a: 1 }])], [new Set([{ a: 1 }, "1", 1])]],
    [[{ a: 1 }], [Object.assign(Object.create(null), { a: 1 })]],
    [[0], [-0]],
    [[[0]], [[-0]]],
    [
      [NaN, 1],
      [NaN, 1],
    ],
    [[new Date(5)], [new Date(5)]],
    [[/a/g], [/a/g]],
    [[new URL("http://a")], [new URL("http://a/")]],
    [[bytes(1, 2)], [bytes(0, 1, 2).subarray(1)]],
    [[{ a: 1 }, 2], structuredClone([{ a: 1 }, 2])],
  ];
  for (const [one, other] of pairs) equal(key(...one), key(...other));
  const shared = { a: 1 };
  equal(key([shared, shared]), key([{ a: 1 }, { a: 1 }]), "an object met twice, which is no cycle");
});

test("what can't be told apart by its content is refused, with its place", async () => {
  const cycle = { a: [] };
  cycle.a.push(cycle);
  class User {
    #id = 1;
    name = "ann";
    toJSON() {
      return { name: "ann" };
    }
  }
  const hole = [1, 2];
  delete hole[0];
  const filled = Object.assign([1, 2], { more: 1 });
  delete filled[0];
  let deep = {};
  for (let i = 0; i < 100_000; i++) deep = { deep };
  const refused = [
    [[() => 1], "args[0]: got a function"],
    [[1, Symbol("s")], "args[1]: got a symbol"],
    [["a", { of: [1, { f() {} }] }], "args[1].of[1].f: got a function"],
    [[new Map([["k", Symbol()]])], 'args[0].get("k"): got a symbol'],
    [[new Set([1, class {}])], "args[0].has(a function): got a function"],
    [[cycle], "args[0].a[0]: got a cycle"],
    [[new User()], "args[0]: got an instance of User"],
    [[[new User()]], "args[0][0]: got an instance of User"],
    [[new Promise(() => {})], "args[0]: got an instance of Promise"],
    [[new WeakMap()], "args[0]: got an instance of WeakMap"],
    [[new Error("e")], "args[0]: got an instance of Error"],
    [[new Request("http://a")], "args[0]: got an instance of Request"],
    [[new (class extends Array {})()], "args[0]: got an instance of a class"],
    [[new (class Day extends Date {})()], "args[0]: got an instance of Day"],
    [[Object.create({ tenant: 1 })], "args[0]: got an instance of Object"],
    [[Object.create(Object.create(null, { tenant: { value: 1 } }))], "args[0]: got an instance of a class"],
    [[Object.assign(new Date(0), { tenant: 1 })], "args[0]: got an instance of Date with properties of its own"],
    [[Object.assign(/a/, { tenant: 1 })], "args[0]: got an instance of RegExp with properties of its own"],
    [[Object.assign(bytes(1), { tenant: 1 })], "args[0]: got an instance of Uint8Array with properties of its own"],
    [[{ [Symbol("s")]: 1 }], "args[0]: got an object with a symbol among its properties"],
    [[Object.defineProperty({}, "tenant", { value: 1 })], "args[0]: got an object with a hidden property"],
    [
      [
        (function () {
          return arguments;
        })(1),
      ],
      "args[0]: got an object with",
    ],
    [[hole], "args[0]: got an array with a hole"],
    [[filled], "args[0]: got an array with a hole"],
    [[Object.assign([1], { more: 1 })], "args[0]: got an array with properties of its own"],
    [[deep], /: got something more than 200 deep/],
  ];
  let calls = 0;
  const load = new NearCache().wrap(() => ++calls);
  for (const [args, start] of refused) {
    const message =
      start instanceof RegExp ? start : { test: (text) => text?.startsWith(start) && text.endsWith("give getKey") };
    for (const control of ["key", "invalidate"]) {
      const error = throws(() => load[control](...args), { name: "NearCacheError", code: "ERR_KEY" });
      ok(message.test(error.message), `${error.message}: that it begins with ${start}`);
    }
    for (const call of [load, load.refresh]) await rejects(call(...args), { code: "ERR_KEY" });
  }
  equal(calls, 0);
});

const TEXTS = [
  "",
  "a",
  "\0",
  '"',
  '"1:',
  "#1;",
  ";",
  ":",
  "[",
  "]",
  "{",
  "}",
  "(",
  "@1;",
  "T",
  "U",
  "N",
  "n1;",
  "(Set:{",
  "w1;",
];

/** A value, and a string made of it by other means: two values are equal if and only if their strings are. */
function randomValue(random, depth) {
  const text = () => Array.from({ length: random(4) }, () => TEXTS[random(TEXTS.length)]).join("");
  const several = () => Array.from({ length: random(4) }, () => randomValue(random, depth - 1));
  const named = () => new Map(Array.from({ length: random(4) }, () => [text(), randomValue(random, depth - 1)]));
  const small = random(3);
  switch (random(depth > 0 ? 12 : 7)) {
    case 0:
      return [small, `number ${small}`];
    case 1:
      return [BigInt(small), `bigint ${small}`];
    case 2: {
      const value = [undefined, null, true, false][random(4)];
      return [value, `${value}`];
    }
    case 3:
      return [new Date(small), `date ${small}`];
    case 4:
      return [bytes(small), `bytes ${small}`];
    case 5:
    case 6: {
      const value = text();
      return [value, JSON.stringify(value)];
    }
    case 7:
    case 8: {
      const items = several();
      return [items.map(([value]) => value), JSON.stringify(["array", ...items.map(([, shown]) => shown)])];
    }
    case 9: {
      const items = named();
      const object = Object.fromEntries([...items].sort(() => random(2) - 0.5).map(([name, [value]]) => [name, value]));
      return [
        object,
        JSON.stringify(["object", ...[...items].map(([name, [, shown]]) => [name, shown]).sort(byFirst)]),
      ];
    }
    case 10: {
      const items = named();
      return [
        new Map([...items].map(([name, [value]]) => [name, value])),
        JSON.stringify(["map", ...[...items].map(([name, [, shown]]) => [name, shown]).sort(byFirst)]),
      ];
    }
    default: {
      const items = several();
      // Not by identity: a set of two equal arrays differs from a set of one.
      const primitive = new Set(items.filter(([value]) => typeof value !== "object").map(([, shown]) => shown));
      const objects = items.filter(([value]) => typeof value === "object" && value !== null).map(([, shown]) => shown);
      if (items.some(([value]) => value === null)) primitive.add("null");
      return [new Set(items.map(([value]) => value)), JSON.stringify(["set", ...[...primitive, ...objects].sort()])];
    }
  }
}
const byFirst = ([a], [b]) => (a < b ? -1 : a > b ? 1 : 0);

test("random arguments have equal keys if and only if they are equal", () => {
  const random = randomFrom(context.seed);
  const shownByKey = new Map();
  const keyByShown = new Map();
  let again = 0;
  for (let i = 0; i < 30_000; i++) {
    const args = Array.from({ length: random(4) }, () => randomValue(random, random(4)));
    const shown = JSON.stringify(args.map(([, text]) => text));
    const made = key(...args.map(([value]) => value));
    if (keyByShown.has(shown)) again++;
    equal(
      [shownByKey.get(made) ?? shown, keyByShown.get(shown) ?? made],
      [shown, made],
      `seed ${context.seed}, arguments ${i}`,
    );
    shownByKey.set(made, shown);
    keyByShown.set(shown, made);
  }
  ok(
    again > 1000 && shownByKey.size > 5000,
    `${again} of 30000 seen before, ${shownByKey.size} keys: that it says something`,
  );
});
