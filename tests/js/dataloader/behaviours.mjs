// What a DataLoader does, as tests for any class that claims to be one.

import { equal, ok, rejects, settleDown, sleep, test, throws } from "../runner.mjs";

const EXPECTED =
  "DataLoader must be constructed with a function which accepts Array<key> and returns Promise<Array<value>>";

export function behaviours(whose, DataLoader) {
  const it = (title, body) => test(`${whose}: ${title}`, body);

  /** A loader that brings its keys, or what `bring` makes of them, and the batches it was called with. */
  function recorded(options, bring = (keys) => keys) {
    const batches = [];
    const loader = new DataLoader(async (keys) => {
      batches.push([...keys]);
      return bring(keys);
    }, options);
    return { loader, batches };
  }
  const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const outcomes = async (promises) =>
    (await Promise.allSettled(promises)).map(({ value, reason }) => (reason ? reason.message : value));

  it("keys of one tick are one call, in their order", async () => {
    const { loader, batches } = recorded();
    equal(await Promise.all([loader.load(2), loader.load(1), loader.load(3)]), [2, 1, 3]);
    equal(batches, [[2, 1, 3]]);
  });

  it("keys asked for in promise jobs of the same tick join, however deep", async () => {
    const { loader, batches } = recorded();
    const deep = async (key) => {
      for (let i = 0; i < 12; i++) await undefined;
      return loader.load(key);
    };
    const all = [loader.load(1), Promise.resolve().then(() => loader.load(2)), deep(3), deep(4).then(() => 4)];
    equal(await Promise.all(all), [1, 2, 3, 4]);
    equal(batches, [[1, 2, 3, 4]]);
  });

  it("so do those of promise jobs that a task's own call precedes", async () => {
    const { loader, batches } = recorded();
    await new Promise((resolve) => {
      setTimeout(() => {
        const second = Promise.resolve()
          .then(() => undefined)
          .then(() => loader.load(2));
        resolve(Promise.all([loader.load(1), second]));
      }, 0);
    });
    equal(batches, [[1, 2]]);
  });

  it("keys that keep coming, each some promise jobs after the last, are one call", async () => {
    const { loader, batches } = recorded();
    const loads = [];
    for (let key = 0; key < 100; key++) {
      loads.push(loader.load(key));
      for (let i = 0; i < 5; i++) await undefined;
    }
    await Promise.all(loads);
    equal(batches.length, 1);
  });

  it("keys of a later tick are another call", async () => {
    const { loader, batches } = recorded();
    const first = loader.load(1);
    await sleep(1);
    await Promise.all([first, loader.load(2)]);
    equal(batches, [[1], [2]]);
  });

  it("a loader that is asked by another's batch function batches too", async () => {
    const inner = recorded();
    const outer = recorded({}, (keys) => Promise.all(keys.map((key) => inner.loader.load(key))));
    const other = recorded({}, (keys) => Promise.all(keys.map((key) => inner.loader.load(key))));
    equal(await Promise.all([outer.loader.load("a"), other.loader.load("b"), outer.loader.load("c")]), ["a", "b", "c"]);
    equal([outer.batches, other.batches, inner.batches], [[["a", "c"]], [["b"]], [["a", "c", "b"]]]);
  });

  it("a key asked for again gets a promise of its own for the same value, and no call", async () => {
    const { loader, batches } = recorded({}, (keys) => keys.map((key) => ({ key })));
    const [a, b] = [loader.load("k"), loader.load("k")];
    ok(a !== b && a instanceof Promise && b instanceof Promise);
    ok((await a) === (await b));
    ok((await loader.load("k")) === (await a));
    equal(batches, [["k"]]);
  });

  it("a known key settles together with the batch that its call fell into", async () => {
    let go;
    const { loader } = recorded({}, (keys) =>
      keys[0] === "known" ? keys : new Promise((resolve) => (go = () => resolve(keys))),
    );
    await loader.load("known");
    let settled = 0;
    loader.load("known").then(() => settled++);
    const cold = loader.load("cold");
    await sleep(5);
    equal(settled, 0);
    go();
    await cold;
    await settleDown();
    equal(settled, 1);
  });

  it("a known key settles, well, also when its batch fails", async () => {
    const { loader } = recorded({}, (keys) => (keys.includes("bad") ? Promise.reject(new Error("all of it")) : keys));
    await loader.load("known");
    equal(await outcomes([loader.load("known"), loader.load("bad")]), ["known", "all of it"]);
  });

  it("known keys alone make no call", async () => {
    const { loader, batches } = recorded();
    await loader.load(1);
    equal(await Promise.all([loader.load(1), loader.load(1)]), [1, 1]);
    equal(batches.length, 1);
  });

  it("known keys settle in the same turn as new ones of their batch, and not in the order of values", async () => {
    const { loader } = recorded();
    loader.prime("known", "known");
    const order = [];
    await Promise.all([
      loader.load("known").then((v) => order.push(v)),
      loader.load("a").then((v) => order.push(v)),
      loader.load("b").then((v) => order.push(v)),
    ]);
    equal(order, ["a", "b", "known"]);
  });

  it("maxBatchSize cuts a tick into calls of that size", async () => {
    const { loader, batches } = recorded({ maxBatchSize: 3 });
    equal(await Promise.all(numbers(1, 7).map((key) => loader.load(key))), numbers(1, 7));
    equal(batches, [[1, 2, 3], [4, 5, 6], [7]]);
  });

  it("maxBatchSize counts a key once, however often it is asked for", async () => {
    const { loader, batches } = recorded({ maxBatchSize: 3 });
    equal(await Promise.all(["a", "b", "a", "a", "c", "b", "d"].map((key) => loader.load(key))), [
      "a",
      "b",
      "a",
      "a",
      "c",
      "b",
      "d",
    ]);
    equal(batches, [["a", "b", "c"], ["d"]]);
  });

  it("a known key after a full batch waits for the next batch, not for the full one", async () => {
    let go;
    const { loader } = recorded({ maxBatchSize: 1 }, (keys) =>
      keys[0] === 1 ? keys : new Promise((resolve) => (go = () => resolve(keys))),
    );
    await loader.load(1);
    const cold = loader.load(2);
    equal(await loader.load(1), 1);
    go();
    equal(await cold, 2);
  });

  it("batch: false makes a call for each key", async () => {
    const { loader, batches } = recorded({ batch: false, maxBatchSize: "not looked at" });
    equal(await Promise.all([loader.load(1), loader.load(2), loader.load(1)]), [1, 2, 1]);
    equal(batches, [[1], [2]]);
  });

  it("cache: false or a cacheMap of null asks for a key as often as it is asked", async () => {
    for (const options of [{ cache: false }, { cacheMap: null }, { cache: false, cacheMap: {} }]) {
      const { loader, batches } = recorded({ ...options, cacheKeyFn: () => ok(false, "cacheKeyFn not called") });
      equal(await Promise.all([loader.load("a"), loader.load("b"), loader.load("a")]), ["a", "b", "a"]);
      ok(loader.prime("a", 1).clear("a").clearAll() === loader);
      equal(await loader.load("a"), "a");
      equal(batches, [["a", "b", "a"], ["a"]]);
    }
  });

  it("clear forgets one key, clearAll every key, and both return the loader", async () => {
    const { loader, batches } = recorded();
    await loader.loadMany(["a", "b", "c"]);
    ok(loader.clear("a") === loader && loader.clear("never seen") === loader);
    await loader.loadMany(["a", "b", "c"]);
    ok(loader.clearAll() === loader);
    await loader.loadMany(["a", "b"]);
    equal(batches, [["a", "b", "c"], ["a"], ["a", "b"]]);
  });

  it("a key that is cleared while it is on its way is asked for anew, and the first who asked are served", async () => {
    const { loader, batches } = recorded();
    const first = loader.load("k");
    loader.clear("k");
    const second = loader.load("k");
    equal(await Promise.all([first, second]), ["k", "k"]);
    equal(batches, [["k", "k"]]);
  });

  it("prime gives a value, a promise of one, or an Error, unless the key is known", async () => {
    const { loader, batches } = recorded();
    ok(loader.prime("a", 1) === loader);
    loader
      .prime("a", 2)
      .prime("b", Promise.resolve(3))
      .prime("c", new Error("primed"))
      .prime("c", 4)
      .prime("u", undefined);
    equal(await outcomes(["a", "b", "c", "u", "d"].map((key) => loader.load(key))), [1, 3, "primed", undefined, "d"]);
    equal(batches, [["d"]]);
    loader.prime("d", 5);
    equal(await loader.load("d"), "d");
    equal(await loader.clear("d").prime("d", 6).load("d"), 6);
  });

  it("a primed Error that nobody asks for is not an unhandled rejection", async () => {
    recorded().loader.prime("k", new Error("never asked for"));
    await sleep(5);
  });

  it("an Error among the values fails its key alone, and stays until it is cleared", async () => {
    const { loader, batches } = recorded({}, (keys) => keys.map((key) => (key % 2 ? new Error(`odd: ${key}`) : key)));
    equal(await outcomes([loader.load(1), loader.load(2), loader.load(3), loader.load(1)]), [
      "odd: 1",
      2,
      "odd: 3",
      "odd: 1",
    ]);
    const error = await rejects(loader.load(1), { message: "odd: 1" });
    ok((await rejects(loader.load(1))) === error);
    equal(batches.length, 1);
    await rejects(loader.clear(1).load(1), { message: "odd: 1" });
    equal(batches, [[1, 2, 3], [1]]);
  });

  it("values that are falsy, or promises themselves, arrive", async () => {
    const values = [
      null,
      undefined,
      0,
      "",
      false,
      NaN,
      Promise.resolve("resolved"),
      Promise.reject(new Error("rejected")),
    ];
    const { loader } = recorded({}, () => values);
    equal(await outcomes(values.map((_, i) => loader.load(i))), [
      null,
      undefined,
      0,
      "",
      false,
      NaN,
      "resolved",
      "rejected",
    ]);
  });

  it("a batch that fails as a whole fails all its keys with that error, and forgets them", async () => {
    let failing = true;
    const { loader, batches } = recorded({}, (keys) => (failing ? Promise.reject(new Error("down")) : keys));
    const [a, b] = await Promise.all([rejects(loader.load(1), { message: "down" }), rejects(loader.load(2))]);
    ok(a === b);
    failing = false;
    equal(await Promise.all([loader.load(1), loader.load(2)]), [1, 2]);
    equal(batches, [
      [1, 2],
      [1, 2],
    ]);
  });

  it("anything may be thrown, undefined too", async () => {
    for (const thrown of [undefined, null, 0, "text"]) {
      const { loader } = recorded({}, () => Promise.reject(thrown));
      equal(await loader.load(1).catch((error) => [error]), [thrown]);
    }
  });

  it("a batch function that does not keep its promise fails the keys with a TypeError that says how", async () => {
    const cases = [
      [() => null, `${EXPECTED}, but the function did not return a Promise: null.`],
      [() => undefined, `${EXPECTED}, but the function did not return a Promise: undefined.`],
      [(keys) => keys, `${EXPECTED}, but the function did not return a Promise: 1,2.`],
      [
        () => {
          throw new Error("at once");
        },
        `${EXPECTED}, but the function errored synchronously: Error: at once.`,
      ],
      [async () => null, `${EXPECTED}, but the function did not return a Promise of an Array: null.`],
      [async () => "12", `${EXPECTED}, but the function did not return a Promise of an Array: 12.`],
      [
        async () => ({ length: 2 }),
        `${EXPECTED}, but the function did not return a Promise of an Array: [object Object].`,
      ],
      [
        async () => [1],
        `${EXPECTED}, but the function did not return a Promise of an Array of the same length as the Array of keys.\n\nKeys:\n1,2\n\nValues:\n1`,
      ],
      [
        async () => [],
        `${EXPECTED}, but the function did not return a Promise of an Array of the same length as the Array of keys.\n\nKeys:\n1,2\n\nValues:\n`,
      ],
    ];
    for (const [bring, message] of cases) {
      let calls = 0;
      const loader = new DataLoader((keys) => (calls++, bring(keys)));
      const [error] = await Promise.all([
        rejects(loader.load(1), { name: "TypeError", message }),
        rejects(loader.load(2), { message }),
      ]);
      ok(error instanceof TypeError);
      await rejects(
        loader.loadMany([1, 2]).then(([first]) => Promise.reject(first)),
        { message },
      );
      equal(calls, 2, "calls");
    }
  });

  it("a thenable that brings something like an array will do", async () => {
    const loader = new DataLoader((keys) => ({
      then: (resolve) => Promise.resolve({ length: keys.length, 0: "zero", 1: "one" }).then(resolve),
    }));
    equal(await loader.loadMany(["a", "b"]), ["zero", "one"]);
  });

  it("loadMany gives values and Errors and never rejects", async () => {
    const { loader, batches } = recorded({}, (keys) => keys.map((key) => (key === "bad" ? new Error("bad") : key)));
    const [a, bad, b] = await loader.loadMany(["a", "bad", "b"]);
    equal([a, bad instanceof Error, bad.message, b], ["a", true, "bad", "b"]);
    equal([await loader.loadMany([]), await loader.loadMany({ length: 2, 0: "x", 1: "y" })], [[], ["x", "y"]]);
    equal(batches, [
      ["a", "bad", "b"],
      ["x", "y"],
    ]);
  });

  it("null, undefined and what is no array are refused with a TypeError at once; 0 and the like are keys", async () => {
    const { loader } = recorded();
    const wants = "The loader.load() function must be called with a value, but got:";
    throws(() => loader.load(), { name: "TypeError", message: `${wants} undefined.` });
    throws(() => loader.load(null), { name: "TypeError", message: `${wants} null.` });
    throws(() => loader.loadMany([1, null]), { name: "TypeError", message: `${wants} null.` });
    const many = "The loader.loadMany() function must be called with Array<key> but got:";
    for (const given of [undefined, null, 1, "ab"])
      throws(() => loader.loadMany(given), { name: "TypeError", message: `${many} ${given}.` });
    throws(() => loader.loadMany({ length: 1 }), { message: `${many} [object Object].` });
    equal(await loader.loadMany([0, "", false, NaN]), [0, "", false, NaN]);
    await loader.load(1);
  });

  it("options that can't be used are refused with a TypeError that names them", () => {
    const make = (options) => () => new DataLoader(async (keys) => keys, options);
    throws(() => new DataLoader(), { name: "TypeError", message: `${EXPECTED}, but got: undefined.` });
    throws(() => new DataLoader({}), { name: "TypeError", message: `${EXPECTED}, but got: [object Object].` });
    for (const size of ["10", null])
      throws(make({ maxBatchSize: size }), {
        name: "TypeError",
        message: `maxBatchSize must be a positive number: ${size}`,
      });
    for (const size of [0, -1])
      throws(make({ maxBatchSize: size }), {
        name: "TypeError",
        message: `maxBatchSize must be a positive number: ${size}`,
      });
    for (const option of ["cacheKeyFn", "batchScheduleFn"]) {
      throws(make({ [option]: "not one" }), { name: "TypeError", message: `${option} must be a function: not one` });
      throws(make({ [option]: null }), { name: "TypeError", message: `${option} must be a function: null` });
    }
    throws(make({ cacheMap: {} }), {
      name: "TypeError",
      message: "Custom cacheMap missing methods: get, set, delete, clear",
    });
    throws(make({ cacheMap: { get() {}, clear() {} } }), { message: "Custom cacheMap missing methods: set, delete" });
    for (const options of [undefined, {}]) make(options)();
  });

  it("name is what was given, or null, and may be changed", () => {
    const named = (options) => new DataLoader(async (keys) => keys, options);
    equal([named().name, named({ name: "" }).name, named({ name: "users" }).name], [null, null, "users"]);
    const loader = named();
    loader.name = "later";
    equal(loader.name, "later");
  });

  it("the functions it is given are called with the loader as this", async () => {
    const seen = [];
    const loader = new DataLoader(
      async function (keys) {
        seen.push(this);
        return keys;
      },
      {
        cacheKeyFn(key) {
          seen.push(this);
          return key;
        },
        batchScheduleFn(callback) {
          seen.push(this);
          setTimeout(callback, 0);
        },
      },
    );
    await loader.load(1);
    equal(seen.length, 3);
    ok(seen.every((self) => self === loader));
  });

  it("cacheKeyFn says which keys are one", async () => {
    const { loader, batches } = recorded({ cacheKeyFn: ({ id }) => id });
    const [a, b] = [{ id: 1 }, { id: 1 }];
    ok((await loader.load(a)) === a && (await loader.load(b)) === a);
    loader.clear({ id: 1 });
    ok((await loader.load(b)) === b);
    loader.prime({ id: 2 }, "primed");
    equal(await loader.load({ id: 2 }), "primed");
    equal(batches, [[a], [b]]);
  });

  it("keys are compared as a Map does", async () => {
    const { loader, batches } = recorded();
    const object = {};
    await loader.loadMany([1, "1", object, {}, NaN, NaN, object, 0, -0]);
    equal(batches, [[1, "1", {}, {}, NaN, 0]]);
  });

  it("a cacheMap of one's own is asked, filled with promises and cleared", async () => {
    const stash = new Map();
    const calls = [];
    const cacheMap = Object.fromEntries(
      ["get", "set", "delete", "clear"].map((name) => [
        name,
        (...given) => (calls.push([name, given[0]]), stash[name](...given)),
      ]),
    );
    const { loader, batches } = recorded({ cacheMap });
    equal(await loader.loadMany(["a", "b"]), ["a", "b"]);
    equal([[...stash.keys()], await stash.get("a")], [["a", "b"], "a"]);
    await loader.load("a");
    loader.clear("b").prime("b", 2).prime("a", 1).clearAll();
    equal(
      calls.map(([name]) => name),
      ["get", "set", "get", "set", "get", "delete", "get", "set", "get", "clear"],
    );
    equal([stash.size, batches], [0, [["a", "b"]]]);
  });

  it("batchScheduleFn says when a batch goes", async () => {
    const sends = [];
    const { loader, batches } = recorded({ batchScheduleFn: (send) => sends.push(send) });
    const first = [loader.load("a"), loader.load("b")];
    await sleep(2);
    first.push(loader.load("a"), loader.load("c"));
    equal([batches, sends.length], [[], 1]);
    sends.shift()();
    const later = loader.load("d");
    equal([batches, sends.length], [[["a", "b", "c"]], 1]);
    sends.shift()();
    equal([await Promise.all(first), await later, batches.length], [["a", "b", "a", "c"], "d", 2]);
  });

  it("load may be called apart from loadMany in a class that extends it", async () => {
    class Logged extends DataLoader {
      asked = [];
      load(key) {
        this.asked.push(key);
        return super.load(key);
      }
    }
    const loader = new Logged(async (keys) => keys);
    equal(
      [await loader.loadMany([1, 2]), loader.asked],
      [
        [1, 2],
        [1, 2],
      ],
    );
  });

  it("a batch that fails clears its keys by way of clear", async () => {
    class Watched extends DataLoader {
      cleared = [];
      clear(key) {
        this.cleared.push(key);
        return super.clear(key);
      }
    }
    const loader = new Watched(async () => []);
    await Promise.allSettled([loader.load(1), loader.load(2)]);
    equal(loader.cleared, [1, 2]);
  });
}
