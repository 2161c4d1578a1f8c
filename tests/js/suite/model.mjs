// Random operations against a model so naive that it can be read: a list in order of use.

import { NearCache } from "nearcache";
import { context, equal, handClock, randomFrom, settleDown, test } from "../runner.mjs";

const KEYS = [0, 1, "1", NaN, null, undefined, "a", "b", "c", "d", {}, Symbol("k"), () => {}, true, 1n, ""];

class Model {
  /** `{key, value, bytes, expires}`, the most recently used first. */
  entries = [];
  loads = new Map();

  constructor(maxEntries, maxBytes, clock) {
    Object.assign(this, { maxEntries, maxBytes, clock });
  }

  find(key) {
    return this.entries.find((entry) => Object.is(entry.key, key) && this.clock.now < entry.expires);
  }

  get(key) {
    const entry = this.find(key);
    if (entry !== undefined) this.entries = [entry, ...this.entries.filter((other) => other !== entry)];
    return entry;
  }

  store(key, value, ttl, bytes) {
    this.entries = this.entries.filter((entry) => !Object.is(entry.key, key));
    if (ttl === 0 || bytes > this.maxBytes || this.maxEntries === 0) return;
    this.entries.unshift({ key, value, bytes, expires: this.clock.now + ttl });
    while (this.entries.length > this.maxEntries || this.bytes > this.maxBytes) this.entries.pop();
  }

  delete(key) {
    const found = this.find(key) !== undefined;
    this.entries = this.entries.filter((entry) => !Object.is(entry.key, key));
    this.loads.delete(key);
    return found;
  }

  get live() {
    return this.entries.filter((entry) => this.clock.now < entry.expires);
  }

  get bytes() {
    return this.entries.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}

/** `ttls`: only where nothing is evicted for room, because dead entries take room until they are met. */
async function walk(seed, steps, { maxEntries, maxBytes, ttls }) {
  const random = randomFrom(seed);
  const clock = handClock(random(2) * 1e12);
  const cache = new NearCache({ maxEntries, maxBytes, clock, hardTimeout: Infinity });
  const model = new Model(maxEntries, maxBytes, clock);
  const open = [];
  const fail = (step, error) => new Error(`seed ${seed}, bounds ${maxEntries}/${maxBytes}, step ${step}: ${error.message}`);
  const ttl = () => (ttls ? [0, 1, 5, 20, 100, Infinity][random(6)] : random(20) === 0 ? 0 : Infinity);
  const bytes = () => random(12);

  async function end(load) {
    open.splice(open.indexOf(load), 1);
    const kind = random(4);
    const attached = model.loads.get(load.key) === load;
    if (attached) model.loads.delete(load.key);
    if (kind === 0) {
      load.reject(load.value);
      const results = await Promise.allSettled(load.waits);
      for (const { reason } of results) equal(reason, load.value, "error");
      return;
    }
    if (kind === 1) load.ctx.skip();
    const life = ttl();
    const weight = bytes();
    load.ctx.ttl = life;
    load.ctx.bytes = weight;
    load.resolve(load.value);
    for (const value of await Promise.all(load.waits)) equal(value, load.value, "loaded");
    if (!attached) return;
    if (kind === 1) model.entries = model.entries.filter((entry) => !Object.is(entry.key, load.key));
    else model.store(load.key, load.value, life, weight);
  }

  for (let step = 0; step < steps; step++) {
    try {
      const key = KEYS[random(KEYS.length)];
      switch (random(12)) {
        case 0:
        case 1:
          equal(cache.get(key), model.get(key)?.value, "get");
          break;
        case 2:
          equal([cache.peek(key), cache.has(key)], [model.find(key)?.value, model.find(key) !== undefined], "peek, has");
          break;
        case 3: {
          const entry = model.find(key);
          equal(cache.remainingTtl(key), entry && entry.expires - clock.now, "remainingTtl");
          break;
        }
        case 4:
        case 5: {
          const [life, weight] = [ttl(), bytes()];
          cache.set(key, step, { ttl: life, bytes: weight });
          model.loads.delete(key);
          model.store(key, step, life, weight);
          break;
        }
        case 6:
          equal(cache.delete(key), model.delete(key), "delete");
          break;
        case 7:
          clock.pass(random(10));
          break;
        case 8:
          if (random(30) === 0) {
            cache.clear();
            model.entries = [];
            model.loads.clear();
          }
          break;
        case 9:
          if (open.length > 0) await end(open[random(open.length)]);
          break;
        default: {
          const fresh = random(3) === 0;
          const entry = fresh ? undefined : model.get(key);
          const under = model.loads.get(key);
          const load = { key, value: { step }, waits: [] };
          const promise = cache.getOrSet(
            key,
            (given, ctx) => new Promise((resolve, reject) => Object.assign(load, { resolve, reject, ctx, given })),
            fresh ? { forceFresh: true } : undefined,
          );
          if (entry !== undefined) equal(await promise, entry.value, "hit");
          else if (under !== undefined) {
            equal(load.given, undefined, "loader not called");
            under.waits.push(promise);
          } else {
            equal("given" in load && Object.is(load.given, key), true, "loader called");
            load.waits.push(promise);
            model.loads.set(key, load);
            open.push(load);
          }
        }
      }
      const live = model.live;
      equal([...cache].map(([k]) => KEYS.findIndex((other) => Object.is(other, k))), live.map(({ key: k }) => KEYS.findIndex((other) => Object.is(other, k))), "order");
      equal([...cache.values()], live.map(({ value }) => value), "values");
      const { entries, bytes: weight, inFlight } = cache.stats();
      equal([entries >= live.length, entries <= maxEntries, weight <= maxBytes, inFlight], [true, true, true, open.length], "bounds");
      if (!ttls) equal([entries, weight], [model.entries.length, model.bytes], "entries, bytes");
    } catch (error) {
      throw fail(step, error);
    }
  }
  while (open.length > 0) await end(open[0]);
  await settleDown();
  equal(cache.stats().inFlight, 0);
}

for (const bounds of [
  { maxEntries: 0, maxBytes: Infinity },
  { maxEntries: 1, maxBytes: Infinity },
  { maxEntries: 5, maxBytes: Infinity },
  { maxEntries: 100, maxBytes: 30 },
  { maxEntries: 6, maxBytes: 40 },
  { maxEntries: 100, maxBytes: Infinity, ttls: true },
]) {
  const { maxEntries, maxBytes, ttls } = bounds;
  test(`random use agrees with a plain list: ${maxEntries} entries, ${maxBytes} bytes${ttls ? ", with ttls" : ""}`, async () => {
    for (let i = 0; i < 10; i++) await walk(context.seed + i, 600, bounds);
  });
}
