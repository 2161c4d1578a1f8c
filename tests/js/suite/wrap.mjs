import { cached, NearCache } from "nearcache";
import { equal, handClock, held, rejects, test, throws } from "../runner.mjs";

/** Counts its calls, and answers with its arguments. */
function echo() {
  const fn = async (...args) => {
    fn.calls++;
    return args;
  };
  fn.calls = 0;
  return fn;
}

test("a wrapped function is called once for the same arguments, however many ask", async () => {
  const cache = new NearCache();
  const load = held();
  const wrapped = cache.wrap(load);
  const calls = [wrapped("a", { b: 1 }), wrapped("a", { b: 1 }), wrapped("a", { b: 2 })];
  equal(load.loads.length, 2);
  equal([load.loads[0].key, load.loads[0].ctx], ["a", { b: 1 }], "its arguments, and nothing else");
  load.loads.forEach(({ resolve }, i) => resolve(i));
  equal([await Promise.all(calls), await wrapped("a", { b: 2 }), load.loads.length], [[0, 0, 1], 1, 2]);
});

test("a sync function becomes async, and its error is passed on and not kept", async () => {
  const cache = new NearCache();
  let calls = 0;
  const fn = (n) => {
    calls++;
    if (n % 2 === 1) throw new RangeError("odd");
    return n / 2;
  };
  const half = cache.wrap(fn);
  equal([half(4) instanceof Promise, await half(4), await half(4), calls, half.name], [true, 2, 2, 1, fn.name]);
  await rejects(half(3), { name: "RangeError", message: "odd" });
  await rejects(half(3), { message: "odd" });
  equal(calls, 3);
});

test("two wraps over one cache share nothing, even of one function, unless by name", async () => {
  const cache = new NearCache();
  const fn = echo();
  const [one, other] = [cache.wrap(fn), cache.wrap(fn)];
  const [named, same, different] = ["n", "n", "m"].map((name) => cache.wrap(fn, { name }));
  for (const args of [["k"], [1], [["k", 1]], [], ["\0"]]) {
    fn.calls = 0;
    for (const wrapped of [one, other, named, same, different]) equal(await wrapped(...args), args);
    equal([fn.calls, named.key(...args) === same.key(...args)], [4, true], JSON.stringify(args));
  }
});

test("a name can't be chosen so that wraps mix", async () => {
  const cache = new NearCache();
  let calls = 0;
  const names = [undefined, "", "1", '"1:', "w1;", "1;", '0:"', "#1", undefined];
  for (const name of names) {
    const wrapped = cache.wrap(() => ++calls, name === undefined ? {} : { name });
    for (const arg of ["", ";", "1;", '"', ":", '"0:', "a", "\0"]) equal(await wrapped(arg), calls);
  }
  equal([calls, cache.size], [names.length * 8, names.length * 8]);
});

test("refresh calls the function anew, invalidate removes, bypass goes past the cache", async () => {
  const cache = new NearCache();
  let version = 0;
  const wrapped = cache.wrap(async (id) => `${id}${++version}`);
  equal([await wrapped("a"), await wrapped.refresh("a"), await wrapped("a")], ["a1", "a2", "a2"]);
  equal([await wrapped.bypass("a"), await wrapped("a")], ["a3", "a2"]);
  equal(
    [wrapped.invalidate("a"), wrapped.invalidate("a"), wrapped.invalidate("b"), await wrapped("a")],
    [true, false, false, "a4"],
  );
  equal([wrapped.cache.get(wrapped.key("a")), wrapped.cache.has(wrapped.key("b"))], ["a4", false]);
});

test("forceFresh and a signal hold for hits of a wrapped function too, other options are for loads", async () => {
  const cache = new NearCache();
  let calls = 0;
  const fresh = cache.wrap(() => ++calls, { forceFresh: true });
  equal([await fresh("a"), await fresh("a")], [1, 2]);
  const controller = new AbortController();
  const heeds = cache.wrap(() => ++calls, { signal: controller.signal });
  equal([await heeds("a"), await heeds("a")], [3, 3]);
  controller.abort(new Error("gone"));
  await rejects(heeds("a"), { message: "gone" });
  const lives = cache.wrap(() => ++calls, { ttl: "1h", tags: ["t"] });
  equal([await lives("a"), await lives("a"), cache.deleteByTag("t"), await lives("a")], [4, 4, 1, 5]);
});

test("bypass gives what the function gives, at once", () => {
  const wrapped = new NearCache().wrap((n) => n + 1);
  equal(wrapped.bypass(1), 2);
});

test("getKey makes the key of all arguments, skipArgs leaves some out", async () => {
  const cache = new NearCache();
  const fn = echo();
  const byId = cache.wrap(fn, { getKey: ({ id }, other) => [id, other] });
  await byId({ id: 1, f() {} }, "x", 5);
  await byId({ id: 1, g() {} }, "x", 6);
  equal(fn.calls, 1);
  await byId({ id: 1 }, "y");
  equal(fn.calls, 2);

  for (const [skipArgs, same, other] of [
    [1, ["a", "z", "c"], ["a", "b", "z"]],
    [
      [0, 2],
      ["z", "b", "z", 4],
      ["a", "z", "c", 4],
    ],
    [[], ["a", "b", "c"], ["a", "b"]],
    [2, ["a", "b"], ["a"]],
  ]) {
    const { key } = cache.wrap(fn, { skipArgs });
    const first = [...["a", "b", "c"], ...(same.length > 3 ? [4] : [])];
    equal([key(...first) === key(...same), key(...first) === key(...other)], [true, false], JSON.stringify(skipArgs));
  }
  const { key } = cache.wrap(fn, { skipArgs: 0 });
  throws(
    () =>
      key(
        () => 1,
        2,
        () => 1,
      ),
    { code: "ERR_KEY", message: /^args\[2\]: got a function/ },
  );
  throws(() => cache.wrap(fn, { getKey: () => ({ a: Symbol() }) }).key(1), {
    code: "ERR_KEY",
    message: /^what getKey returned\.a: got a symbol/,
  });
});

test("what getKey throws is the call's error", async () => {
  const wrapped = new NearCache().wrap((user) => user, { getKey: (user) => user.id });
  await rejects(wrapped(undefined), { name: "TypeError" });
  throws(() => wrapped.invalidate(undefined), { name: "TypeError" });
});

test("options of getOrSet hold for every call", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock });
  let calls = 0;
  const wrapped = cache.wrap(() => ++calls, { ttl: "1s" });
  equal([await wrapped(), await wrapped(), wrapped.cache.remainingTtl(wrapped.key())], [1, 1, 1000]);
  clock.pass(1000);
  equal([await wrapped(), await wrapped.refresh(), wrapped.cache.remainingTtl(wrapped.key())], [2, 3, 1000]);
  await rejects(cache.wrap(() => new Promise(() => {}), { hardTimeout: 20 })(), { code: "ERR_TIMEOUT" });
});

test("a wrapped function gets no this, so that objects' answers can't mix by it", async () => {
  const cache = new NearCache();
  const users = {
    table: "users",
    find: cache.wrap(function (id) {
      return `${this?.table} ${id}`;
    }),
  };
  equal(
    [await users.find(1), users.find.bypass(1), await users.find.refresh(1)],
    ["undefined 1", "undefined 1", "undefined 1"],
  );
});

test("a wrong option of wrap is an error that names it, what it got and what it wants", () => {
  const cache = new NearCache();
  const names =
    "getKey, skipArgs, name, ttl, idleTtl, staleWhileRevalidate, swr, staleIfError, refreshAhead, jitter, negativeTtl, errorBackoff, bytes, tags, hardTimeout, signal, softTimeout, forceFresh, retry, validate, keepLoading, priority";
  const COUNT = "a whole number from 0 to 16777215";
  const wrong = [
    [{ getKey: "id" }, 'getKey: got "id", wants a function'],
    [{ getKey: null }, "getKey: got null, wants a function"],
    [{ skipArgs: -1 }, `skipArgs: got -1, wants ${COUNT}`],
    [{ skipArgs: [0, 1.5] }, `skipArgs: got 1.5, wants ${COUNT}`],
    [{ skipArgs: "0" }, `skipArgs: got "0", wants ${COUNT}`],
    [{ skipArgs: 0, getKey: () => 1 }, "skipArgs: got a value beside getKey, wants one of the two"],
    [{ name: 5 }, "name: got 5, wants a string without lone surrogates"],
    [{ name: "\ud800" }, 'name: got "\\ud800", wants a string without lone surrogates'],
    [{ jitter: 2 }, "jitter: got 2, wants a number from 0 to 1"],
    [{ tags: "a" }, 'tags: got "a", wants an array of strings'],
    [{ key: 5 }, `key: unknown option, did you mean getKey? Known are ${names}`],
    [{ perInstance: false }, `perInstance: unknown option. Known are ${names}`],
    [null, "options: got null, wants an object"],
  ];
  for (const [options, message] of wrong)
    throws(() => cache.wrap(() => 1, options), { name: "NearCacheError", code: "ERR_OPTION", message });
  for (const [fn, shown] of [
    [undefined, "undefined"],
    ["f", '"f"'],
    [{}, "an object"],
  ]) {
    throws(() => cache.wrap(fn), { code: "ERR_OPTION", message: `fn: got ${shown}, wants a function` });
  }
});

test("a wrong option of cached is an error too, and so is what is no method", () => {
  const cache = new NearCache();
  const names =
    "cache, perInstance, getKey, skipArgs, name, ttl, idleTtl, staleWhileRevalidate, swr, staleIfError, refreshAhead, jitter, negativeTtl, errorBackoff, bytes, tags, hardTimeout, signal, softTimeout, forceFresh, retry, validate, keepLoading, priority";
  for (const [options, message] of [
    [{}, "cache: got undefined, wants a NearCache"],
    [{ cache: new Map() }, "cache: got an object, wants a NearCache"],
    [{ cache, perInstance: 1 }, "perInstance: got 1, wants true or false"],
    [{ cache, tll: 1 }, `tll: unknown option, did you mean ttl? Known are ${names}`],
    [undefined, "options: got undefined, wants an object"],
  ]) {
    throws(() => cached(options), { code: "ERR_OPTION", message });
  }
  const decorate = cached({ cache });
  // As experimentalDecorators would, and as a field's.
  throws(() => decorate({}, "find", {}), {
    code: "ERR_OPTION",
    message: /^@cached: got undefined, wants a method, and standard decorators/,
  });
  throws(() => decorate(undefined, { kind: "field" }), { code: "ERR_OPTION", message: /^@cached: got "field"/ });
  throws(() => cached.of({}, () => 1), {
    code: "ERR_OPTION",
    message: "method: got a function, wants a method with @cached",
  });
});

test("a load of a wrapped function that is invalidated meanwhile is not kept", async () => {
  const cache = new NearCache();
  const load = held();
  const wrapped = cache.wrap(load);
  const before = wrapped("k");
  wrapped.invalidate("k");
  load.loads[0].resolve("old");
  equal([await before, wrapped.cache.has(wrapped.key("k"))], ["old", false]);
});
