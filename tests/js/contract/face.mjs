// The npm class, as the contract uses it: each step carried out, and what came of it written down.
// What the format means stands in tests/contract/README.md.

import { NearCache } from "nearcache";
import { World } from "../world.mjs";

const NOTHING = "(nothing)";
const EVENTS = ["hit", "stale", "miss", "coalesced", "load", "error", "insert", "evict", "expire", "batch"];

/** What came of each step of a case, whose steps may be drawn one by one, by a look at the face. */
export async function run(testCase, draw) {
  const world = new World({ requestBound: testCase.mode === "requests" });
  try {
    const face = new Face(testCase, world);
    const lines = [];
    for (let i = 0; i < (testCase.fill ?? 0); i++) face.act({ set: `k${i}`, to: "v" });
    face.log = newLog();
    for (let at = 0; ; at++) {
      const step = draw === undefined ? testCase.steps[at] : draw(face);
      if (step === undefined) break;
      if (draw !== undefined) testCase.steps.push(step);
      let answer;
      if (step.together === undefined) answer = await face.act(step);
      else {
        answer = [];
        for (const one of step.together) {
          if (one.settle) await world.settle();
          else {
            const given = face.act(one);
            answer.push(given instanceof Promise ? await given : given);
          }
        }
      }
      await world.settle();
      // Of a drawn case what is due by now is told in this step, as the crate's waiters see it by themselves.
      if (testCase.figures) await world.pass(0);
      const line = face.take();
      if (Array.isArray(answer)) answer = answer.map((one) => one ?? null);
      if ((answer ?? null) !== null) line.is = answer;
      if (testCase.figures && !step.unseen) {
        // Where an entry lies, and so when its end is met, is each face's own.
        for (let i = 0; i < SWEEPS; i++) face.act({ get: "nothing" });
        const { events } = face.take();
        if (events !== undefined) line.swept = events.sort();
        line.stats = figures(face.cache);
        line.size = face.cache.size;
      }
      lines.push(line);
    }
    return lines;
  } finally {
    world.leave();
  }
}

/** So many gets of what is not there meet every dead entry of a drawn case. */
const SWEEPS = 12;

const newLog = () => ({ settles: {}, begins: [], aborts: [], events: [] });

/** A value whose bytes the class can't tell. */
class Opaque {
  constructor(value) {
    this.value = value;
  }
}

/** The rule by which cases say that an error is for good. In the crate it is about the loader's own errors alone. */
const mayBeRetried = (error) => !/^final|^ERR_(BYTES|BATCH|QUEUE_FULL)$/.test(codeOf(error));

class Face {
  log = newLog();
  /** Loads that have begun and not been told how to end. */
  live = new Set();
  /** How many keys each batch had. */
  sizes = new Map();
  #loads = new Map();
  #leavers = new Map();
  #keepers = new Map();
  #batches = 0;

  constructor(testCase, world) {
    this.world = world;
    // A drawn sequence that was shortened may tell loads to end that never began.
    this.lenient = testCase.figures === true;
    const { namespaces = {}, sizeOfLength = false, batch, random = 0.5, ...rest } = testCase.cache ?? {};
    this.namespaces = namespaces;
    this.opaque = (rest.maxBytes ?? rest.maxEntryBytes) !== undefined && !sizeOfLength;
    this.cache = new NearCache({
      eviction: "lru",
      ...policy(rest),
      ...(rest.validate ? { validate: (value) => !show(this.#unwrap(value)).startsWith("bad") } : {}),
      random: () => random,
      ...(sizeOfLength ? { sizeOf: (value) => show(value).length } : {}),
      ...(batch === undefined
        ? {}
        : { batch: { ...batch, load: (keys, contexts) => this.#loadBatch(keys, contexts) } }),
    });
    const hookGets = testCase.hookGets ?? {};
    for (const name of EVENTS) {
      if (!(testCase.hooks ?? []).includes(name)) continue;
      this.cache.on(name, (event) => {
        this.log.events.push(this.#told(name, event));
        if (hookGets[name] !== undefined) this.cache.get(hookGets[name]);
      });
    }
  }

  /** What was written down since the last time. */
  take() {
    const line = this.log;
    this.log = newLog();
    line.aborts.sort();
    for (const [name, value] of Object.entries(line)) if (Object.keys(value).length === 0) delete line[name];
    return line;
  }

  /** A promise where time passes, and else the answer. */
  act(step) {
    const handle = this.#handle(step.in);
    const [operation, subject] = Object.entries(step).find(([name]) => name in this.#operations) ?? [];
    if (operation === undefined) throw new Error(`no such step: ${JSON.stringify(step)}`);
    return this.world.as(step.request, () => this.#operations[operation](handle, subject, step));
  }

  #operations = {
    set: (handle, key, { to, with: options }) => {
      try {
        handle.set(key, this.#wrap(to), policy(options));
      } catch (error) {
        return codeOf(error);
      }
    },
    get: (handle, key) => this.#answer(handle.get(key)),
    pop: (handle, key) => this.#answer(handle.pop(key)),
    getAllPresent: (handle, _, { keys }) => {
      const present = [...handle.getAllPresent(keys)];
      return Object.fromEntries(present.map(([key, value]) => [key, this.#unwrap(value)]));
    },
    find: (handle, letters) => this.#answer(handle.find((value) => show(this.#unwrap(value)).startsWith(letters))),
    keys: (handle, order) => [...handle.keys({ order })],
    peek: (handle, key) => this.#answer(handle.peek(key)),
    has: (handle, key) => handle.has(key),
    peekStale: (handle, key) => this.#answer(handle.peek(key, { allowStale: true })),
    info: (handle, key) => {
      const info = handle.info(key);
      return info === undefined ? NOTHING : { ...info, ttl: duration(info.ttl), tags: [...info.tags].sort() };
    },
    purgeStale: (handle) => handle.purgeStale(),
    deleteWhere: (handle, letters) => handle.deleteWhere((value) => show(this.#unwrap(value)).startsWith(letters)),
    setMany: (handle, entries, { with: options }) => {
      handle.setMany(
        entries.map(([key, value]) => [key, this.#wrap(value)]),
        policy(options),
      );
    },
    deleteMany: (handle, keys) => handle.deleteMany(keys),
    remainingTtl: (handle, key) => {
      const left = handle.remainingTtl(key);
      return left === undefined ? NOTHING : duration(left);
    },
    delete: (handle, key) => handle.delete(key),
    expire: (handle, key) => handle.expire(key),
    clear: (handle) => handle.clear(),
    deleteByTag: (handle, tag) => handle.deleteByTag(tag),
    expireByTag: (handle, tag) => handle.expireByTag(tag),
    size: (handle) => handle.size,
    stats: (handle) => figures(handle),
    ask: (handle, name, step) => void this.#ask(handle, step, undefined),
    update: (handle, name, step) => {
      const options = { ...policy(step.with), signal: this.#leaver(name, undefined) };
      const writer = this.#loader(step.write, step, this.world.requestBound);
      this.#settle(name, handle.update(step.key, writer, options), true);
    },
    compute: (handle, name, step) => {
      const options = { ...policy(step.with), signal: this.#leaver(name, undefined) };
      const loader = this.#loader(step.run, { ...step, computes: true });
      const compute = (value, signal) => loader(step.key, { stale: value, signal });
      this.#settle(name, handle.compute(step.key, compute, options), true);
    },
    keepFresh: (handle, name, { keys, every, concurrency, with: options }) => {
      const entries = keys.map((key) => {
        return { key, loader: this.#loader(`${name}:${key}`, {}), options: policy(options) };
      });
      const onError = (error, key) => (this.log.settles[`${name}:${key}`] = { error: codeOf(error) });
      const given = concurrency === undefined ? {} : { concurrency };
      this.#keepers.set(name, handle.keepFresh(entries, { every, timers: true, onError, ...given }));
    },
    stop: (handle, name) => this.#keepers.get(name)?.stop(),
    bring: (handle, name, step) => this.#tell(name, step),
    fail: (handle, name, step) => this.#tell(name, step),
    leave: (handle, name) => this.#leavers.get(name)?.abort(new Error("left")),
    lose: (handle, request) => this.world.kill(request),
    advance: (handle, millis) => this.world.advance(millis),
    walk: async (handle, millis) => {
      for (let i = 0; i < millis; i++) await this.world.advance(1);
    },
  };

  #handle(path = "") {
    return path
      .split(" ")
      .filter(Boolean)
      .reduce((handle, name) => {
        if (name.startsWith("#")) return handle.scope(name.slice(1));
        return handle.namespace(name, policy(this.namespaces[name]));
      }, this.cache);
  }

  #ask(handle, step, outer) {
    const { ask: name, key, load, plain = false } = step;
    const loader = load === "batch" ? undefined : this.#loader(load, step);
    if (plain) return this.#settle(name, handle.getOrSet(key, loader), true);
    const options = { ...policy(step.with), details: true, signal: this.#leaver(name, outer) };
    return this.#settle(name, handle.getOrSet(key, loader, options), false);
  }

  /** Writes down how a promise ends. */
  async #settle(name, promise, plain) {
    const owner = this.world.request;
    let end;
    try {
      const { value, status, age, ttl } = plain ? { value: await promise } : await promise;
      end = { value: this.#answer(value), ...(plain ? {} : { status, age, ttl: duration(ttl) }) };
    } catch (error) {
      if (error.message.startsWith("the runtime:") && owner !== undefined) return;
      end = { error: codeOf(error) };
    }
    this.log.settles[name] = end;
  }

  /** The way out of a wait, which `leave` goes, and a load that its own waiters have left. */
  #leaver(name, outer) {
    const controller = new AbortController();
    this.#leavers.set(name, controller);
    outer?.addEventListener("abort", () => controller.abort(new Error("left")));
    return controller.signal;
  }

  /**
   * A loader that ends when it is told to, and when its own asks have ended. One that is not `deaf` ends as well when it
   * is told to stop, as a future does that is dropped.
   */
  #loader(name, step, deaf = false) {
    return async (key, ctx) => {
      const word = step.computes ? "value" : "stale";
      const stale = ctx.stale === undefined ? "" : ` ${word}=${show(this.#unwrap(ctx.stale))}`;
      this.log.begins.push(name + stale);
      const { promise, resolve } = promised();
      let over = false;
      this.#loads.set(name, resolve);
      this.live.add(name);
      ctx.signal.addEventListener("abort", () => {
        if (over) return;
        this.live.delete(name);
        this.log.aborts.push(name);
        if (!deaf) resolve({ error: "it was told to stop" });
      });
      this.#do(name, step);
      const asks = (step.asks ?? []).map((ask) => this.#ask(this.#handle(ask.in), ask, ctx.signal));
      const end = await promise;
      await Promise.all(asks);
      over = true;
      if (!ctx.signal.aborted || deaf) this.#do(name, end);
      Object.assign(ctx, said(end.say));
      if (end.say?.skip) ctx.skip();
      if (end.error !== undefined) throw new Error(end.error);
      return end.remove ? undefined : this.#wrap(end.value);
    };
  }

  /** What a loader does with the cache. */
  #do(name, { does = [] }) {
    for (const step of does) this.log.begins.push(`${name} does ${JSON.stringify(this.act(step) ?? null)}`);
  }

  async #loadBatch(keys, contexts) {
    const name = `b${++this.#batches}`;
    this.log.begins.push(`${name}: ${keys.join(" ")}`);
    const { promise, resolve } = promised();
    this.#loads.set(name, resolve);
    this.live.add(name);
    this.sizes.set(name, keys.length);
    const end = await promise;
    (end.say ?? []).slice(0, contexts.length).forEach((say, at) => {
      Object.assign(contexts[at], said(say));
      if (say.skip) contexts[at].skip();
    });
    if (end.error !== undefined) throw new Error(end.error);
    return end.values.map((value) => (value?.error === undefined ? this.#wrap(value) : new Error(value.error)));
  }

  #tell(name, step) {
    const tell = this.#loads.get(name);
    if (tell === undefined) {
      if (this.lenient) return;
      throw new Error(`no load ${name}`);
    }
    tell(step);
    this.live.delete(name);
  }

  #wrap(value) {
    return this.opaque ? new Opaque(value) : value;
  }

  #unwrap(value) {
    return value instanceof Opaque ? value.value : value;
  }

  #answer(value) {
    return value === undefined ? NOTHING : this.#unwrap(value);
  }

  /** An event, as the contract writes it. */
  #told(name, { key, keys, place, ...event }) {
    const about = {
      stale: () => [event.cause],
      miss: () => [event.cause],
      load: () => [event.duration, event.background ? "background" : ""],
      error: () => [event.duration, event.background ? "background" : "", codeOf(event.error)],
      evict: () => [show(this.#unwrap(event.value)), event.cause],
      expire: () => [show(this.#unwrap(event.value))],
      batch: () => [event.duration, event.error === undefined ? "" : codeOf(event.error)],
    };
    const scopes = (place.scopes ?? (place.scope === undefined ? [] : [place.scope])).map((scope) => `#${scope}`);
    const names = [...place.namespaces, ...scopes];
    const where = names.length === 0 ? [] : ["in", ...names];
    const told = [name, key ?? keys.join(","), ...(about[name]?.() ?? []), ...where];
    return told.filter((word) => word !== "").join(" ");
  }
}

const show = (value) => value ?? "null";
const duration = (millis) => (millis === Infinity ? "forever" : millis);
const codeOf = (error) => (error?.code?.startsWith?.("ERR_") ? error.code : String(error?.message ?? error));

function promised() {
  let resolve;
  // Not by withResolvers, which a world of requests watches.
  const promise = new Promise((told) => (resolve = told));
  return { promise, resolve };
}

/** Options, with their durations as the class wants them. */
function policy(options = {}) {
  const given = Object.entries(options).map(([name, value]) => [name, value === "forever" ? Infinity : value]);
  const { retry, ...rest } = Object.fromEntries(given);
  return retry === undefined ? rest : { ...rest, retry: { ...retry, when: mayBeRetried } };
}

function said(say = {}) {
  const { skip, ...rest } = policy(say);
  return rest;
}

function figures(handle) {
  const { evictions, batches, queueLatency, ...stats } = handle.stats();
  const { size, expired, replaced, removed } = evictions;
  const { hits, staleHits, misses, coalesced, loads, refreshes, loadFailures, retries, rescues, loadsAbandoned } =
    stats;
  const { softTimeouts, timeouts, inserts, rejected, inFlight, queued, refused } = stats;
  return {
    ...{ hits, staleHits, misses, coalesced, loads, refreshes, loadFailures, retries, rescues, loadsAbandoned },
    ...{ softTimeouts, timeouts, inserts, rejected, inFlight, batches: batches.count },
    ...{ queued, refused, waited: queueLatency.count, longestWait: queueLatency.max },
    ...{ evictedSize: size, evictedExpired: expired, evictedReplaced: replaced, evictedRemoved: removed },
  };
}
