// The class under random schedules in virtual time, against the rules of tests/contract/README.md, seen from outside with a
// small model: loads that are told to end, fail at once, ask for other keys or never end; computations; timers that ring late, time that
// leaps over several deadlines, and requests that die, with and without requests.
// `--seed=N`, `--steps=N`, or SEED and STEPS.

import { NearCache } from "nearcache";
import { turn, World } from "./world.mjs";
import { limit, report, settings } from "./report.mjs";
import { randomFrom } from "./runner.mjs";

const KEYS = ["a", "b", "c", "d", "e", "f", "g", "h"];
const PLACES = ["", "n", "#u", "n #u"];
const TAGS = ["red", "green"];
const MOST_ENTRIES = 5;
const MOST_BYTES = 60;
const MOST_QUEUED = 4;
const BYTES = 10;
/** How many steps one cache is used for. */
const RUN = 500;
const TTL = 40;
const STALE = 30;
const DEADLINE = 80;

const isWithin = (inner, outer) => outer.split(" ").every((name) => name === "" || inner.split(" ").includes(name));

class Simulation {
  now = () => this.world.now;
  step = 0;
  gets = 0;
  values = 0;
  /** Each purge: what it concerns. A value or a wait notes how many there had been when it began. */
  purges = [];
  loads = [];
  waits = [];
  writes = [];
  computing = [];
  requests = ["r0", "r1", "r2"];
  born = 3;
  /** Keys that loads have asked for: until then a load of them may have begun without a place. */
  innerUntil = new Map();
  faults = [];

  constructor(seed, requestBound) {
    this.random = randomFrom(seed);
    this.requestBound = requestBound;
    this.world = new World({ requestBound });
    // Of a plain one the core is told late of some loads.
    this.isPlain = this.random(3) === 0;
    /** How rarely a plain one is asked, or brought, more than that. */
    this.rarely = this.one([20, Infinity]);
    this.limited = !this.isPlain && this.random(2) === 0;
    this.stale = this.isPlain ? 0 : STALE;
    this.ttl = this.isPlain ? 10 * TTL : TTL;
    this.places = this.isPlain && this.random(4) > 0 ? [""] : PLACES;
    this.mostLoads = this.limited ? 2 : Infinity;
    this.cache = new NearCache({
      maxEntries: MOST_ENTRIES,
      eviction: this.random(2) === 0 ? "lru" : "adaptive",
      ...(this.isPlain ? {} : { maxBytes: MOST_BYTES, sizeOf: () => BYTES }),
      ttl: this.ttl,
      staleWhileRevalidate: this.stale,
      staleIfError: this.stale,
      hardTimeout: DEADLINE,
      errorBackoff: this.random(2) * 10,
      softTimeout: this.random(2) === 0 ? Infinity : 30,
      maxConcurrentLoads: this.mostLoads,
      loadsPerSecond: this.limited && this.random(2) === 0 ? 60 : Infinity,
      maxQueuedLoads: MOST_QUEUED,
      keepLoading: this.random(3) === 0,
    });
    // Rule 8: a hook may use the cache, and what it throws is ignored.
    const meddle = ({ key }) => {
      if (this.random(10) !== 0) return;
      if (this.random(2) === 0) throw new Error("a hook's own");
      this.cache.peek(key);
      this.cache.has("x");
    };
    for (const event of this.random(2) === 0 ? ["evict"] : ["evict", "load", "miss"]) this.cache.on(event, meddle);
  }

  /** Whether a plain one is to be asked more. */
  mayVary() {
    return this.rarely < Infinity && this.random(this.rarely) === 0;
  }

  one(list) {
    return list[this.random(list.length)];
  }

  check(holds, rule) {
    if (!holds) throw new Error(`step ${this.step}${this.requestBound ? " with requests" : ""}: ${rule}`);
  }

  handle(place) {
    const within = (handle, name) => (name.startsWith("#") ? handle.scope(name.slice(1)) : handle.namespace(name));
    return place.split(" ").filter(Boolean).reduce(within, this.cache);
  }

  /** Whether a purge between two moments concerns what is known of a value. */
  purged(value, from, to) {
    return this.purges.slice(from, to).some(({ key, place, tag, loadsOnly }) => {
      if (loadsOnly) return false;
      if (key !== undefined) return key === value.key && place === value.place;
      return isWithin(value.place, place) && (tag === undefined || value.tags.includes(tag));
    });
  }

  make(key, place, began, tags) {
    // Until it is stored nobody may have it from memory.
    return { id: ++this.values, key, place, began, tags, freshUntil: 0, usableUntil: 0 };
  }

  keep(value, ttl) {
    value.freshUntil = this.now() + ttl;
    value.usableUntil = value.freshUntil + this.stale;
  }

  /** Rules 3, 4 and 6, for what a caller got. `asked`: how many purges there had been when it asked. */
  checkValue(value, key, place, asked, status) {
    this.check(value.key === key && value.place === place, "somebody else's value");
    const late = status === "hit" ? this.now() >= value.freshUntil : this.now() >= value.usableUntil;
    const fromMemory = status === "hit" || status.startsWith("stale");
    this.check(!fromMemory || !late, `rule 3: ${status} past its end`);
    this.check(!this.purged(value, value.began, asked), `rule 4: ${status} of what was purged before it was asked for`);
  }

  get(key, place) {
    this.gets++;
    const value = this.handle(place).get(key);
    if (value !== undefined) this.checkValue(value, key, place, this.purges.length, "hit");
  }

  ask(key, place, request, depth = 0) {
    this.gets++;
    const asked = this.purges.length;
    const isPlain = this.isPlain ? !this.mayVary() : this.random(4) === 0;
    const hardTimeout = !isPlain && this.random(4) === 0 ? 1 + this.random(60) : DEADLINE;
    const wait = { key, place, request, deadline: this.now() + hardTimeout, over: false };
    if (depth > 0) this.innerUntil.set(key + place, this.now() + 2 * DEADLINE);
    const controller = new AbortController();
    const tags = isPlain ? [] : TAGS.filter(() => this.random(4) === 0);
    const forceFresh = this.random(8) === 0;
    const priority = this.random(4) === 0 ? "low" : "high";
    const options = isPlain
      ? undefined
      : { hardTimeout, tags, forceFresh, priority, details: true, signal: controller.signal };
    wait.leave = () => controller.abort(new Error("left"));
    this.waits.push(wait);
    const loader = (key, ctx) => this.load(key, place, ctx, tags, wait, depth);
    const asking = this.world.as(request, () => this.handle(place).getOrSet(key, loader, options));
    asking.then(
      (got) => {
        // Of a plain get nobody knows where its value comes from.
        const { value, status } = isPlain ? { value: got, status: "miss" } : got;
        wait.over = true;
        if (this.dead(request)) return;
        this.attempt(() => {
          const known = status === "hit" || status.startsWith("stale") ? value : { ...value, usableUntil: Infinity };
          // It is told a little later than it was answered, but no time has passed.
          this.checkValue(known, key, place, asked, status);
        });
      },
      (error) => {
        wait.over = true;
        const code = error.code ?? error.message;
        const known = ["ERR_TIMEOUT", "left", "down", "thrown", "ERR_RECURSIVE_LOAD", "ERR_QUEUE_FULL"];
        this.attempt(() => this.check(known.includes(code) || this.dead(request), `rule 2: ended with ${code}`));
        // What is refused closes a circle, and is no get.
        if (code === "ERR_RECURSIVE_LOAD") this.gets--;
      },
    );
  }

  /** Called by the class. */
  load(key, place, ctx, tags, wait, depth) {
    const request = this.world.request;
    const load = { key, place, tags, began: this.purges.length, deadline: wait.deadline, request, over: false, ctx };
    this.attempt(() => {
      for (const other of this.loads) {
        if (other.over || other.key !== key || other.place !== place || this.dead(other.request)) continue;
        const cut = this.purges.slice(other.began).some((purge) => {
          return purge.tag === undefined && this.concernsKey(purge, key, place);
        });
        this.check(cut || this.now() >= other.deadline || other.ctx.signal.aborted, "rule 1: two loads of a key");
      }
    });
    this.loads.push(load);
    ctx.signal.addEventListener("abort", () => (load.over = true));
    // What is brought at once, or nearly, the core may hear of together with its get.
    const isQuick = this.isPlain && this.random(2) === 0;
    switch (isQuick ? 10 : this.random(10)) {
      case 10:
        load.over = true;
        return this.random(3) === 0 ? this.brought(load) : Promise.resolve(this.brought(load));
      case 0:
        load.over = true;
        throw new Error("thrown");
      case 1:
        load.over = true;
        return this.brought(load);
      case 2:
        if (depth < 3) this.ask(this.one(KEYS), this.one(this.places), request, depth + 1);
    }
    return new Promise((resolve, reject) => {
      load.bring = () => resolve(this.brought(load));
      load.fail = () => reject(new Error("down"));
      // One in twenty never ends.
      load.ends = this.random(20) !== 0;
    });
  }

  /** At most so many loads are under way, but for those that a load under way waits for. */
  checkPlaces() {
    const placed = this.loads.filter((load) => {
      const isInner = this.now() <= (this.innerUntil.get(load.key + load.place) ?? -1);
      // Past its leader's deadline it may be taken for dead.
      return (
        !load.over && this.now() < load.deadline && !isInner && !this.dead(load.request) && !load.ctx.signal.aborted
      );
    });
    this.check(placed.length <= this.mostLoads, "more loads at once than may be");
  }

  concernsKey(purge, key, place) {
    return purge.key === undefined ? isWithin(place, purge.place) : purge.key === key && purge.place === place;
  }

  brought(load) {
    const { key, place, began, ctx } = load;
    const isPlain = this.isPlain ? !this.mayVary() : this.random(4) === 0;
    const tags = [...load.tags, ...(isPlain ? [] : TAGS.filter(() => this.random(5) === 0))];
    const value = this.make(key, place, began, tags);
    const ttl = !isPlain && this.random(3) === 0 ? this.random(30) : this.ttl;
    if (!isPlain) Object.assign(ctx, { ttl, tags });
    if (!isPlain && this.random(10) === 0) ctx.skip();
    else this.keep(value, ttl);
    return value;
  }

  set(key, place) {
    this.purges.push({ key, place });
    const value = this.make(key, place, this.purges.length, []);
    this.keep(value, this.ttl);
    this.handle(place).set(key, value);
  }

  update(key, place, request) {
    // It beats what is under way when it begins, when it ends, and when its caller waits no more. The old value stays until
    // the end.
    const beats = () => this.purges.push({ key, place });
    this.purges.push({ key, place, loadsOnly: true });
    const write = { request };
    this.writes.push(write);
    const writer = () =>
      new Promise((resolve, reject) => {
        write.bring = () => {
          beats();
          const value = this.make(key, place, this.purges.length, []);
          this.keep(value, this.ttl);
          resolve(value);
        };
        write.fail = () => (beats(), reject(new Error("down")));
      });
    const updating = this.world.as(request, () => this.handle(place).update(key, writer));
    updating.catch(() => this.dead(request) || beats());
  }

  /** One at a time, of what a hit would bring, and what changed the key meanwhile wins. */
  compute(key, place, request) {
    const hardTimeout = this.random(4) === 0 ? 1 + this.random(60) : DEADLINE;
    const wait = { key, place, request, deadline: this.now() + hardTimeout, over: false };
    const controller = new AbortController();
    wait.leave = () => controller.abort(new Error("left"));
    this.waits.push(wait);
    const tags = this.isPlain && !this.mayVary() ? [] : TAGS.filter(() => this.random(4) === 0);
    const next = (present, signal) => {
      this.purges.push({ key, place, loadsOnly: true });
      const one = { key, place, request: this.world.request, deadline: wait.deadline, over: false };
      const began = this.purges.length;
      this.attempt(() => {
        if (present !== undefined) this.checkValue(present, key, place, began, "hit");
        const isUnderWay = (other) => !other.over && !this.dead(other.request) && this.now() < other.deadline;
        const other = this.computing.find((other) => other.key === key && other.place === place && isUnderWay(other));
        this.check(other === undefined, "two compute a key at once");
        this.check(this.now() < wait.deadline, "a computation began past its deadline");
      });
      this.computing.push(one);
      signal.addEventListener("abort", () => (one.over = true));
      return new Promise((resolve, reject) => {
        one.bring = () => {
          // Whatever was being loaded is older.
          this.purges.push({ key, place, loadsOnly: true });
          if (this.random(5) === 0) return resolve(undefined);
          const value = this.make(key, place, began, tags);
          this.keep(value, this.ttl);
          resolve(value);
        };
        one.fail = () => reject(new Error("down"));
      });
    };
    const options = { hardTimeout, tags, signal: controller.signal };
    const computing = this.world.as(request, () => this.handle(place).compute(key, next, options));
    computing.then(
      (value) => {
        wait.over = true;
        if (this.dead(request) || value === undefined || this.handle(place).peek(key) !== value) return;
        // It is stored, and beats what was there.
        this.purges.push({ key, place });
        value.began = this.purges.length;
      },
      (error) => {
        wait.over = true;
        const code = error.code ?? error.message;
        const known = ["ERR_TIMEOUT", "left", "down"].includes(code) || this.dead(request);
        this.attempt(() => this.check(known, `rule 2: a computation ended with ${code}`));
      },
    );
  }

  /** Rule 10: what makes no sense is refused, and nothing is half done. */
  refuse(key, place) {
    const { entries, ...before } = this.cache.stats();
    const handle = this.handle(place);
    let code;
    try {
      handle.set(key, {}, { ttl: -1 });
    } catch (error) {
      ({ code } = error);
    }
    this.check(code === "ERR_OPTION", "rule 10: a ttl of -1 was taken");
    handle
      .getOrSet(key, () => 1, { hardTimeout: "soon" })
      .then(
        () => this.attempt(() => this.check(false, "rule 10: a deadline of soon was taken")),
        (error) => this.attempt(() => this.check(error.code === "ERR_OPTION", `rule 10: ${error.message}`)),
      );
    const { inserts, misses, loads } = this.cache.stats();
    const same = inserts === before.inserts && misses === before.misses && loads === before.loads;
    this.check(same, "rule 10: something was done all the same");
  }

  dead(request) {
    return request !== undefined && !this.requests.includes(request);
  }

  kill() {
    const at = this.random(this.requests.length);
    const [request] = this.requests.splice(at, 1, `r${this.born++}`);
    this.world.kill(request);
  }

  attempt(body) {
    try {
      body();
    } catch (error) {
      this.faults.push(error);
    }
  }

  async act() {
    const [key, place] = [this.one(KEYS), this.one(this.places)];
    const request = this.requestBound ? this.one(this.requests) : undefined;
    const live = this.loads.filter((load) => !load.over && load.ends && !this.dead(load.request));
    switch (this.random(28)) {
      case 0:
        return this.get(key, place);
      case 1: {
        const value = this.handle(place).peek(key);
        if (value !== undefined) this.checkValue(value, key, place, this.purges.length, "hit");
        return;
      }
      case 2:
        return this.set(key, place);
      case 3:
        if (this.isPlain && this.random(3) > 0) return this.get(key, place);
        this.purges.push({ key, place });
        return void this.handle(place).delete(key);
      case 4: {
        if (this.isPlain && !this.mayVary()) return;
        const tag = this.one(TAGS);
        this.purges.push({ place, tag });
        return void this.handle(place).deleteByTag(tag);
      }
      case 5:
        // Loads that wait for their turn are cut loose by a clear of all, and begin after it.
        if (this.random(5) !== 0 || (place === "" && this.limited)) return;
        this.purges.push({ place });
        return this.handle(place).clear();
      case 6:
        if (this.isPlain && !this.mayVary()) return;
        return this.update(key, place, request);
      case 7: {
        this.writes = this.writes.filter((write) => !this.dead(write.request));
        const write = this.random(3) === 0 ? undefined : this.writes.shift();
        if (this.random(4) === 0) write?.fail();
        else write?.bring();
        return;
      }
      case 8: {
        const waiting = this.waits.filter((wait) => !wait.over && !this.dead(wait.request));
        if (waiting.length > 0) this.one(waiting).leave();
        return;
      }
      case 9:
        return this.refuse(key, place);
      case 10:
        if (this.requestBound && this.random(4) === 0) this.kill();
        return;
      case 11:
        // Timers that are late: time has passed, and nothing has rung.
        this.world.now += this.random(60);
        return;
      case 12:
      case 13:
        await this.world.advance(this.random(this.random(10) === 0 ? 300 : 30));
        return this.checkDeadlines();
      case 14:
      case 15:
      case 16:
      case 17:
        if (live.length > 0) {
          const load = this.one(live);
          load.over = true;
          if (this.random(4) === 0) load.fail();
          else load.bring();
        }
        return;
      case 18:
      case 19:
        return this.compute(key, place, request);
      case 20:
      case 21: {
        this.computing = this.computing.filter((one) => !one.over && !this.dead(one.request));
        if (this.computing.length === 0) return;
        const one = this.one(this.computing);
        one.over = true;
        if (this.random(4) === 0) one.fail();
        else one.bring();
        return;
      }
      default:
        return this.ask(key, place, request);
    }
  }

  /** Rule 2: who waits is told at the deadline, as far as timers have rung. */
  checkDeadlines() {
    const late = this.waits.filter((wait) => !wait.over && !this.dead(wait.request) && wait.deadline <= this.now());
    this.check(late.length === 0, "rule 2: a wait went on past its deadline");
    this.waits = this.waits.filter((wait) => !wait.over && !this.dead(wait.request));
    this.loads = this.loads.filter((load) => !load.over || this.now() < load.deadline);
  }

  async run(steps) {
    for (let i = 0; i < steps; i++) {
      this.step++;
      await this.act();
      await turn();
      if (this.faults.length > 0) throw this.faults[0];
      // By its figures the core is told of everything.
      if (this.random(4) > 0) continue;
      const { hits, staleHits, misses, coalesced, entries, bytes, queued } = this.cache.stats();
      this.check(queued <= 2 * MOST_QUEUED, "more loads wait than may");
      this.check(entries <= MOST_ENTRIES && bytes <= MOST_BYTES, "rule 5: out of bounds");
      this.check(hits + staleHits + misses + coalesced === this.gets, "rule 7: the counters don't add up");
      this.checkPlaces();
    }
    // Rule 9: when all deadlines have passed nothing is under way.
    for (let i = 0; i < 3; i++) await this.world.advance(20_000);
    for (let i = 0; i < 200; i++) this.handle("").get("nothing");
    this.checkDeadlines();
    this.check(this.cache.stats().queued === 0, "rule 9: loads wait for their turn for nobody");
    this.check(this.cache.stats().inFlight === 0, "rule 9: loads are under way that nobody can be waiting for");
  }
}

limit(600_000, "simulation");
const given = settings();
const argument = process.argv.find((argument) => argument.startsWith("--steps="))?.slice(8);
const seed = Number(process.env.SEED ?? given.seed);
const steps = Number(process.env.STEPS ?? argument ?? 100_000);
const failures = [];
process.on("unhandledRejection", (error) => failures.push({ title: "a rejection", error: String(error?.stack) }));
let passed = 0;
for (let run = 0; run * RUN < steps && failures.length === 0; run++) {
  const requestBound = run % 2 === 1 && typeof Promise.withResolvers === "function";
  const simulation = new Simulation(seed + run, requestBound);
  try {
    await simulation.run(RUN);
    passed++;
  } catch (error) {
    failures.push({ title: `seed ${seed + run}`, error: String(error?.stack ?? error) });
  }
  simulation.world.leave();
}
report("simulation", { passed, failed: failures.length, failures }, seed);
process.exit();
