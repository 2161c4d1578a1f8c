// The runtime's own clock, which the class reads as seldom as it may.

import { NearCache } from "nearcache";
import { busy, equal, held, never, ok, rejects, sleep, test, throws } from "../runner.mjs";

const SPARED = { realTime: "the class spares readings of the runtime's own clock alone" };

test("in real time a short life ends on the millisecond, however hot the loop that asks", SPARED, async () => {
  // Within one run of code time may stand still: each turn is a run of its own.
  const cache = new NearCache();
  cache.set("long", 1, { ttl: "1h" });
  for (const ttl of [1, 3, 20, 60]) {
    const before = Date.now();
    cache.set("a", ttl, { ttl });
    const after = Date.now();
    let seen = before;
    while (seen <= after + ttl + 3) {
      // Time is read before and after, because it may pass while the cache is asked.
      await sleep(0);
      const start = Date.now();
      const value = cache.get("a");
      seen = Date.now();
      if (start >= after + ttl) equal(value, undefined, `ttl ${ttl}, ${start - after} ms later`);
      if (seen < before + ttl) equal(value, ttl, `ttl ${ttl}, ${seen - before} ms later`);
      cache.get("long");
    }
  }
});

test("a value that is set after a pause within one task has its whole life", SPARED, () => {
  for (const ttl of [60, 200]) {
    const cache = new NearCache({ ttl });
    for (let i = 0; i < 1000; i++) cache.set(i, i, { ttl: "1h" }).get(i);
    busy(ttl + 10);
    equal(cache.set("a", 1).get("a"), 1, `just set, ttl ${ttl}`);
    for (let i = 0; i < 1000; i++) cache.set(i, i, { ttl: "1h" }).get(i);
    busy(ttl + 10);
    equal(cache.set("b", 1, { ttl }).get("b"), 1, `just set, ttl ${ttl} of the call`);
    ok(cache.remainingTtl("b") > ttl / 2, `remaining ${cache.remainingTtl("b")}`);
  }
});

test(
  "nothing is handed out past its time in the next run of code, however hot the calls before a pause",
  SPARED,
  async () => {
    const cache = new NearCache();
    cache.set("long", 1, { ttl: "1h" });
    // Calls spare readings of the clock in turns: every place in the turn is tried.
    for (let extra = 0; extra < 40; extra++) {
      cache.set("a", "old", { ttl: 3 });
      for (let i = 0; i < 1000 + extra; i++) cache.get("long");
      busy(5);
      await sleep(0);
      equal(cache.get("a"), undefined, `after ${extra} calls more`);
      equal(await cache.getOrSet("a", () => "anew", { ttl: 3 }), "anew", `after ${extra} calls more`);
    }
  },
);

test("a reading serves no get of the next promise job", SPARED, async () => {
  const cache = new NearCache();
  cache.set("long", 1, { ttl: "1h" });
  for (let extra = 0; extra < 70; extra += 3) {
    cache.set("a", "old", { ttl: 3 });
    for (let i = 0; i < 1000 + extra; i++) cache.get("long");
    await undefined;
    busy(5);
    equal(
      [cache.get("a"), cache.has("a"), cache.peek("a")],
      [undefined, false, undefined],
      `after ${extra} calls more`,
    );
  }
});

const looks = {
  get: [(cache) => cache.get("a"), undefined],
  has: [(cache) => cache.has("a"), false],
  peek: [(cache) => cache.peek("a"), undefined],
  remainingTtl: [(cache) => cache.remainingTtl("a"), undefined],
  keys: [(cache) => [...cache.keys()], ["long"]],
  getOrSet: [(cache) => cache.getOrSet("a", () => "anew", { ttl: 3 }), "anew"],
};
for (const [name, [look, gone]] of Object.entries(looks)) {
  test(`a reading serves no ${name} of a promise job that was waiting when it was made`, SPARED, async () => {
    // The symptom: the job came before the one that ends the reading. Whatever it does first must not rely on that.
    const cache = new NearCache();
    cache.set("long", 1, { ttl: "1h" });
    for (let extra = 0; extra < 70; extra += 7) {
      cache.set("a", "old", { ttl: 3 });
      const waiting = Promise.resolve().then(() => (busy(5), look(cache)));
      for (let i = 0; i < 1000 + extra; i++) cache.get("long");
      equal(await waiting, gone, `after ${extra} calls more`);
    }
  });
}

test("a reading serves no awaited hit of the next promise job", SPARED, async () => {
  const cache = new NearCache();
  for (let extra = 0; extra < 20; extra++) {
    cache.set("a", "old", { ttl: 4 }).set("long", 1, { ttl: "1h" });
    for (let i = 0; i < 200 + extra; i++) await cache.getOrSet("long", () => 2);
    busy(6);
    equal(await cache.getOrSet("a", () => "anew"), "anew", `after ${extra} hits more`);
  }
});

test("a short life ends while the program sleeps", SPARED, async () => {
  const cache = new NearCache({ ttl: 40 });
  for (let i = 0; i < 100; i++) cache.set("a", i).get("a");
  await sleep(60);
  equal([cache.get("a"), cache.has("a"), cache.remainingTtl("a")], [undefined, false, undefined]);
  equal(await cache.getOrSet("a", () => "anew"), "anew");
});

const fakes = {
  "Date.now": (clock) => {
    const { now } = Date;
    Date.now = clock;
    return () => (Date.now = now);
  },
  Date: (clock) => {
    const { Date } = globalThis;
    globalThis.Date = class extends Date {
      static now = clock;
    };
    return () => (globalThis.Date = Date);
  },
};
for (const [name, fake] of Object.entries(fakes)) {
  test(`a ${name} that a test replaces is read at every call, the first one after other calls too`, SPARED, () => {
    // The symptom: values long past their ttl, since the clock was read only now and then.
    const cache = new NearCache({ ttl: "10s" });
    for (let extra = 0; extra < 70; extra += 3) {
      cache.set("k", "old");
      for (let i = 0; i < 1000 + extra; i++) cache.get("k");
      let now = Date.now() + 20_000;
      const restore = fake(() => now);
      try {
        equal([cache.get("k"), cache.has("k")], [undefined, false], `after ${extra} calls more`);
        cache.set("k", "old");
        for (let i = 0; i < 40; i++) cache.get("k");
        now += 60_000;
        equal([cache.get("k"), cache.has("k")], [undefined, false]);
      } finally {
        restore();
      }
    }
  });
}

test("what a replaced clock said serves no call once the real one is back", SPARED, () => {
  // The symptom: a ttl of a minute that ended a year later, where a synchronous test had faked the time and given it back.
  const { Date: RealDate } = globalThis;
  for (const away of [365 * 86_400_000, -86_400_000]) {
    class FakeDate extends RealDate {
      static now = () => RealDate.now() + away;
    }
    const cache = new NearCache({ ttl: "1m" });
    for (let i = 0; i < 40; i++) cache.get("x");
    globalThis.Date = FakeDate;
    try {
      cache.get("x");
    } finally {
      globalThis.Date = RealDate;
    }
    cache.set("k", 1);
    const left = cache.remainingTtl("k");
    ok(left > 59_000 && left <= 60_000, `${left} ms left after a fake by ${away} ms`);
  }
});

test("no clock is read for an awaited hit of what never expires", SPARED, async () => {
  const real = Date.now;
  let read = 0;
  Date.now = () => {
    read++;
    return real();
  };
  try {
    const cache = new NearCache().set("k", 1).set("mortal", 1, { ttl: "1h" });
    read = 0;
    for (let i = 0; i < 40; i++) equal(await cache.getOrSet("k", () => 2), 1);
    equal(read, 0);
    equal(await cache.getOrSet("mortal", () => 2), 1);
    equal(read, 1);
  } finally {
    Date.now = real;
  }
});

test("faked timers in one test spoil no lifetimes in the next", SPARED, async () => {
  const { setImmediate, queueMicrotask, setTimeout: realTimeout } = globalThis;
  Object.assign(globalThis, { setImmediate: () => ({ unref() {} }), queueMicrotask: () => {}, setTimeout: () => 0 });
  try {
    const cache = new NearCache();
    for (let i = 0; i < 100; i++) cache.get("x");
  } finally {
    Object.assign(globalThis, { setImmediate, queueMicrotask, setTimeout: realTimeout });
  }
  const cache = new NearCache({ ttl: 15 }).set("k", "old");
  for (let i = 0; i < 100; i++) cache.get("k");
  await sleep(30);
  for (let i = 0; i < 40; i++) equal(cache.get("k"), undefined);
});

/** A clock or source of random numbers that throws while it is `broken`. */
function breakable(value) {
  const ask = () => {
    if (ask.broken) throw ask.broken;
    return value;
  };
  ask.broken = undefined;
  return ask;
}

for (const what of ["clock", "random", "sizeOf"]) {
  for (const ending of ["resolve", "reject"]) {
    test(`${what} throws while a load ends (${ending}): all who wait are told`, async () => {
      const broken = breakable(what === "random" ? 0.5 : 1_000_000);
      const cache = new NearCache({
        [what]: broken,
        ttl: 1_000,
        jitter: 0.5,
        retry: { attempts: 2, delay: 1, when: () => false },
      });
      const load = held();
      const waiting = [cache.getOrSet("k", load), cache.getOrSet("k", load, { hardTimeout: 500 })];
      const own = new AbortController();
      waiting.push(cache.getOrSet("k", load, { signal: own.signal }));
      broken.broken = new Error("out of order");
      load.loads[0][ending](ending === "reject" ? new Error("origin") : "value");
      const ends = await Promise.allSettled(waiting);
      const wanted = ending === "reject" ? "origin" : "out of order";
      equal(
        ends.map(({ reason }) => reason?.message),
        [wanted, wanted, wanted],
      );
      broken.broken = undefined;
      equal([cache.has("k"), cache.size, cache.stats().inFlight], [false, 0, 0]);
      equal(await cache.getOrSet("k", () => "anew"), "anew");
    });
  }
}

test("a clock that throws leaves no deadline, attempt or turn behind", async () => {
  const clock = breakable(1_000_000);
  const cache = new NearCache({ clock, hardTimeout: 50, maxConcurrentLoads: 1 });
  const first = held();
  const waiting = [cache.getOrSet("a", first), cache.getOrSet("b", () => "b"), cache.getOrSet("c", never)];
  clock.broken = new Error("out of order");
  first.loads[0].resolve("a");
  const ends = await Promise.allSettled(waiting);
  equal(
    [ends[0].reason?.message, ends[1].reason?.message, ends[2].reason?.code],
    ["out of order", "out of order", "ERR_TIMEOUT"],
  );
  clock.broken = undefined;
  const retried = cache.getOrSet("d", () => Promise.reject(new Error("origin")), { retry: { attempts: 3, delay: 5 } });
  clock.broken = new Error("out of order");
  equal((await Promise.allSettled([retried]))[0].reason?.message, "origin");
  clock.broken = undefined;
  const updates = [
    cache.update("w", async () => "written"),
    cache.compute("x", async () => "computed"),
    cache.compute("x", async () => "later"),
  ];
  clock.broken = new Error("out of order");
  const told = await Promise.allSettled(updates);
  equal(
    told.map(({ reason }) => reason?.message),
    Array(3).fill("out of order"),
  );
  clock.broken = undefined;
  equal([cache.has("w"), cache.has("x"), cache.stats().inFlight], [false, false, 0]);
  equal(
    [await cache.update("w", () => 1), await cache.compute("x", () => 2), await cache.getOrSet("b", () => 3)],
    [1, 2, 3],
  );
});

test("a clock that shows no number is told by every call that needs the time, and nothing is lost", async () => {
  let time = 1_000;
  const cache = new NearCache({ ttl: 50, clock: () => time });
  cache.set("a", 1);
  for (time of [NaN, undefined, "1000", 1_000n, new Date(1_000)]) {
    throws(() => cache.get("a"), { code: "ERR_OPTION", message: /clock\(\).*milliseconds since 1970/ });
    throws(() => cache.set("b", 1), { code: "ERR_OPTION" });
    await rejects(
      cache.getOrSet("c", () => 1),
      { code: "ERR_OPTION" },
    );
  }
  time = 1_049;
  equal([cache.get("a"), cache.get("b"), cache.get("c")], [1, undefined, undefined]);
  time = 1_050;
  equal(cache.get("a"), undefined);
});
