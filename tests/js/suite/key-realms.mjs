// Keys of data that another realm of the same process has made.

import { NearCache } from "nearcache";
import { equal, ok, test, throws } from "../runner.mjs";

const { key } = new NearCache().wrap((...args) => args.length);

/** Evaluates in another realm of the same process, whose `Object` is not ours. Workers have but one. */
function elsewhere() {
  const vm = globalThis.process?.getBuiltinModule?.("node:vm");
  if (vm !== undefined) {
    const realm = vm.createContext();
    return (code) => vm.runInContext(code, realm);
  }
  const frame = document.createElement("iframe");
  document.body.append(frame);
  return (code) => frame.contentWindow.eval(code);
}

// They have the name of node:vm, and nothing behind it.
if (globalThis.navigator?.userAgent === "Cloudflare-Workers") {
  console.log("key-realms: NOT RUN: a Worker has one realm, and none to compare with");
} else {
  const evaluate = elsewhere();
  test("plain data of another realm has the key of the same data of ours", () => {
    for (const code of [
      "({})",
      "({ a: 1, b: [1, { c: null }] })",
      "[]",
      "[1, [2], undefined]",
      "new Date(5)",
      "/a/gi",
      "new Map([['a', { b: 1 }]])",
      "new Set([1, [2]])",
      "new ArrayBuffer(2)",
      "Int16Array.of(1, 2)",
      "new DataView(new ArrayBuffer(3), 1)",
      "Object.create(null)",
      "[{ a: new Map([[new Date(1), new Set([/b/])]]) }]",
    ]) {
      const [theirs, ours] = [evaluate(code), (0, eval)(code)];
      ok(Object.getPrototypeOf(theirs) !== Object.getPrototypeOf(ours) || Object.getPrototypeOf(ours) === null);
      equal(key(theirs), key(ours), code);
      equal(key({ in: [theirs] }), key({ in: [ours] }), code);
    }
  });

  test("different data of another realm has different keys, and what can't be told apart there is refused", () => {
    const codes =
      `[] [[]] {} {a:1} {a:"1"} {a:{}} 0 1 "1" new|Date(0) new|Date(1) /a/ /a/g new|Map new|Set new|Map([[1,2]])
      new|Set([1]) new|ArrayBuffer(1) new|ArrayBuffer(2) Int8Array.of(1) Int8Array.of(2) Int16Array.of(1)`.split(/\s+/);
    const values = codes.map((code) => evaluate(`(${code.replace("|", " ")})`));
    equal(new Set(values.map((value) => key(value))).size, codes.length);
    for (const [code, start] of [
      ["new (class Object {})", "args[0]: got an instance of Object"],
      ["new (class Date { getTime() { return 0 } })", "args[0]: got an instance of Date"],
      ["new (class extends Date {})", "args[0]: got an instance of"],
      ["new (class extends Map {})", "args[0]: got an instance of"],
      ["Object.create({ tenant: 1 })", "args[0]: got an instance of Object"],
      ["Object.create({ constructor: Date, tenant: 1 })", "args[0]: got an instance of Date"],
      ["(() => { function F() {} F.prototype.a = 1; return new (F.bind())() })()", "args[0]: got an instance of F"],
      ["(() => { const P = new Proxy(class {}, {}); P.prototype.constructor = P; return new P() })()", "args[0]: got"],
      ["new Error('e')", "args[0]: got an instance of Error"],
      ["Promise.resolve()", "args[0]: got an instance of Promise"],
      ["Object.assign(new Date(0), { tenant: 1 })", "args[0]: got an instance of Date with properties of its own"],
      ["Object.assign([1], { tenant: 1 })", "args[0]: got an array with properties of its own"],
      ["({ [Symbol()]: 1 })", "args[0]: got an object with a symbol"],
      ["new Map([[1, Symbol()]])", "args[0].get(1): got a symbol"],
      ["new Map([[Symbol('k'), 1]])", "args[0].get(a symbol): got a symbol"],
      ["new Set([() => 1])", "args[0].has(a function): got a function"],
    ]) {
      const { message } = throws(() => key(evaluate(code)), { code: "ERR_KEY" });
      ok(message.startsWith(start), `${code}: ${message}: that it begins with ${start}`);
    }
    for (const code of [
      "Object.create(Date.prototype)",
      "Object.create(Map.prototype)",
      "Object.create(ArrayBuffer.prototype)",
    ])
      throws(() => key(evaluate(code)), { name: "TypeError" });
  });
}
