// A fresh instance of the wasm, for when the old one has trapped.

import { NearCache } from "nearcache";
// As a namespace, whose names change with the instance.
import * as wasm from "../../../pkg/dist/core.js";
import { equal, ok, test, throws } from "../runner.mjs";

const core = () => new wasm.Core(10, Infinity, Infinity, Infinity, false);
/** Its entries, after one more. */
const insert = (core) => (core.insert(0, 0, 1, 0, NaN, false, 0), core.len(0, ""));

test("after a trap a renewed instance serves new caches, and old ones keep to the old", () => {
  const before = new NearCache({ maxEntries: 2 }).set("a", 1);
  const [old, freed, broken] = [core(), core(), core()];
  equal([insert(old), insert(old), insert(freed)], [1, 2, 1]);
  // What a broken invariant would lead to: a look beyond the memory.
  const { __wbg_ptr: pointer } = broken;
  broken.__wbg_ptr = 0xfffffff0;
  ok(throws(() => broken.len(0, "")) instanceof WebAssembly.RuntimeError, "a trap");
  broken.__wbg_ptr = pointer;

  wasm.renew();
  const fresh = core();
  equal([old instanceof wasm.Core, fresh instanceof wasm.Core], [false, true]);
  equal([insert(fresh), insert(fresh), insert(fresh), insert(old)], [1, 2, 3, 3]);
  // Nor does the end of an old one touch the new one's memory, where something else lies at its address.
  freed.free();
  const texts = Array.from({ length: 10 }, (_, i) =>
    new NearCache({ maxEntries: 2, ttl: "1m" }).set(i, "x", { tags: [`${i}`] }),
  );
  equal(
    [fresh.len(0, ""), old.len(0, ""), texts.map((cache) => cache.deleteByTag("1"))],
    [3, 3, [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]],
  );
  const after = new NearCache({ maxEntries: 2 }).set("b", 2);
  equal([before.get("a"), before.size, after.get("b"), after.get("a")], [1, 1, 2, undefined]);
  throws(() => new NearCache({ ttl: "x" }), { code: "ERR_OPTION" });
});

test("each instance has a memory of its own", () => {
  const cores = [];
  for (let i = 0; i < 5; i++) {
    wasm.renew();
    cores.push(core());
  }
  cores.forEach((core, i) => {
    for (let n = 0; n <= i; n++) insert(core);
  });
  equal(
    cores.map((core) => core.len(0, "")),
    [1, 2, 3, 4, 5],
  );
});
