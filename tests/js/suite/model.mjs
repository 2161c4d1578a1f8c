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
  const cache = new NearCache({ maxEntries, maxBytes, clock, eviction: "lru", hardTimeout: Infinity });
  const model = new Model(maxEntries, maxBytes, clock);
  const open = [];
  const fail = (step, error) =>
    new Error(`seed ${seed}, bounds ${maxEntries}/${maxBytes}, step ${step}: ${error.message}`);
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
          equal(
            [cache.peek(key), cache.has(key)],
            [model.find(key)?.value, model.find(key) !== undefined],
            "peek, has",
          );
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
      equal(
        [...cache].map(([k]) => KEYS.findIndex((other) => Object.is(other, k))),
        live.map(({ key: k }) => KEYS.findIndex((other) => Object.is(other, k))),
        "order",
      );
      equal(
        [...cache.values()],
        live.map(({ value }) => value),
        "values",
      );
      const { entries, bytes: weight, inFlight } = cache.stats();
      equal(
        [entries >= live.length, entries <= maxEntries, weight <= maxBytes, inFlight],
        [true, true, true, open.length],
        "bounds",
      );
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

/** One key's life as the docs tell it: a value with its windows, or the memory of a failure. */
class Lives {
  held = new Map();

  constructor(clock) {
    this.clock = clock;
  }

  end({ fresh, swr, sie }) {
    return Math.max(fresh, fresh + swr, fresh + sie);
  }

  /** What is there: a failure that is remembered, or a value that may still be used. */
  of(key) {
    const one = this.held.get(key);
    const alive = one !== undefined && this.clock.now < (one.error === undefined ? this.end(one) : one.until);
    if (!alive) this.held.delete(key);
    return alive ? one : undefined;
  }

  isFresh(key) {
    const one = this.of(key);
    return one !== undefined && one.error === undefined && this.clock.now < one.fresh;
  }

  store(key, value, { ttl, swr, sie, tags }) {
    const { now } = this.clock;
    if (ttl === 0) this.held.delete(key);
    else this.held.set(key, { value, born: now, fresh: now + ttl, swr, sie, retry: 0, tags });
  }

  answer(one, status) {
    const { now } = this.clock;
    return { value: one.value, status, age: now - one.born, ttl: Math.max(one.fresh - now, 0) };
  }

  /** A load ends at once: what its caller gets. */
  load(key, { value, error, backoff, life }) {
    const { now } = this.clock;
    const one = this.of(key);
    if (error === undefined) {
      this.store(key, value, life);
      return { value, status: "miss", age: 0, ttl: life.ttl };
    }
    if (one?.error === undefined && one !== undefined) {
      if (one.swr > 0 || one.sie > 0) one.retry = now + backoff;
      return one.sie > 0 && now < one.fresh + one.sie ? this.answer(one, "stale-if-error") : error;
    }
    this.held.delete(key);
    if (backoff > 0) this.held.set(key, { error, until: now + backoff, tags: [] });
    return error;
  }

  get(key, forced, outcome) {
    const { now } = this.clock;
    const one = forced ? undefined : this.of(key);
    if (one === undefined) return this.load(key, outcome);
    if (one.error !== undefined) return one.error;
    if (now < one.fresh) return this.answer(one, "hit");
    if (now < one.fresh + one.swr) {
      const answer = this.answer(one, "stale");
      if (now >= one.retry) this.load(key, outcome);
      return answer;
    }
    return now < one.retry ? this.answer(one, "stale") : this.load(key, outcome);
  }

  expire(key) {
    const [one, fresh] = [this.of(key), this.isFresh(key)];
    if (one?.error !== undefined) this.held.delete(key);
    else if (fresh) one.fresh = this.clock.now;
    return fresh;
  }
}

test("random use of windows, failures, expire, tags and namespaces agrees with what the docs say", async () => {
  for (let round = 0; round < 60; round++) {
    const random = randomFrom(context.seed + round);
    const clock = handClock(random(2) * 1e12);
    const lives = new Lives(clock);
    const root = new NearCache({ clock, maxEntries: 1000 });
    const views = [root, root.namespace("a"), root.namespace("a").scope("s"), root.scope("s")];
    // A scope reaches into the namespaces as well.
    const within = [[0, 1, 2, 3], [1, 2], [2], [2, 3]];
    let gets = 0;
    for (let step = 0; step < 400; step++) {
      const at = random(views.length);
      const key = random(3);
      const name = `${at}:${key}`;
      const view = views[at];
      const life = {
        ttl: [0, 5, 20, Infinity][random(4)],
        swr: [0, 0, 10, 30][random(4)],
        sie: [0, 0, 15, 40][random(4)],
        tags: [`t${random(2)}`, `u${random(2)}`],
      };
      const kept = { ttl: life.ttl, staleWhileRevalidate: life.swr, staleIfError: life.sie, tags: life.tags };
      try {
        switch (random(10)) {
          case 0:
            view.set(key, step, kept);
            lives.store(name, step, life);
            break;
          case 1:
            equal(view.get(key), lives.isFresh(name) ? lives.of(name).value : undefined, "get");
            gets++;
            break;
          case 2:
            if (random(2)) {
              equal(view.expire(key), lives.expire(name), "expire");
            } else {
              equal(view.delete(key), lives.isFresh(name), "delete");
              lives.held.delete(name);
            }
            break;
          case 3: {
            if (random(3) > 0) break;
            const tag = ["t0", "t1", "u0", "u1"][random(4)];
            const all = [...lives.held.keys()].filter(
              (one) => within[at].includes(Number(one[0])) && lives.of(one)?.tags.includes(tag),
            );
            if (random(2)) {
              equal(view.expireByTag(tag), all.filter((one) => lives.expire(one)).length, "expireByTag");
            } else {
              // The dead that nobody has met count as well.
              equal(view.deleteByTag(tag) >= all.length, true, "deleteByTag");
              for (const one of all) lives.held.delete(one);
            }
            break;
          }
          case 4:
            if (random(10) > 0) break;
            view.clear();
            for (const one of [...lives.held.keys()]) if (within[at].includes(Number(one[0]))) lives.held.delete(one);
            break;
          case 5:
          case 6:
            clock.pass(random(12));
            break;
          default: {
            const error = random(2) ? new Error(`at step ${step}`) : undefined;
            const outcome = { value: step, error, backoff: [0, 8, 25][random(3)], life };
            const loader = () => {
              if (error !== undefined) throw error;
              return step;
            };
            const forceFresh = random(5) === 0;
            const wanted = lives.get(name, forceFresh, outcome);
            const got = await view
              .getOrSet(key, loader, { ...kept, errorBackoff: outcome.backoff, forceFresh, details: true })
              .catch((reason) => reason);
            equal(got, wanted, `getOrSet${forceFresh ? ", forced" : ""}`);
            gets++;
          }
        }
        for (const [i, one] of views.entries()) {
          for (let k = 0; k < 3; k++) equal(one.has(k), lives.isFresh(`${i}:${k}`), `has ${i}:${k}`);
        }
        const { hits, staleHits, misses, coalesced } = root.stats();
        equal(hits + staleHits + misses + coalesced, gets, "gets");
      } catch (error) {
        throw new Error(`seed ${context.seed + round}, step ${step}, ${name}: ${error.message}`);
      }
    }
  }
});
