// Draws sequences of the contract's steps: few keys, few parts and short times, so that what can meet does.

import { randomFrom } from "../runner.mjs";

const KEYS = ["a", "b", "c", "d"];
const PLACES = ["", "", "", "n", "#u", "n #u", "#u n", "n m", "#u #v"];
const TAGS = ["red", "green"];
// Not `batch`: of a batch that nobody waits for any more (see below) each face tells in its own way.
const HOOKS = ["hit", "stale", "miss", "coalesced", "load", "error", "insert", "evict", "expire"];

/** A case without steps, and what draws them one by one. */
export function drawn(seed, length) {
  const random = randomFrom(seed);
  const one = (list) => list[random(list.length)];
  const maybe = (odds, value) => (random(odds) === 0 ? value() : undefined);
  const time = (below) => (random(12) === 0 ? "forever" : random(below));

  /** What is not `undefined` of what was drawn. */
  const some = (options) => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

  const chance = random(4);
  // Each who asks is a request, which may die.
  const dies = random(6) === 0;
  const batches = !dies && random(3) === 0;
  // A cache that nobody looks at after each step takes other ways. Then what is over is swept at other moments: where
  // anything is ever over, nothing may depend on how many entries there are, and nobody be told when they leave.
  const unseen = random(3) === 0;
  const lasts = unseen && random(3) === 0;
  const anyNumber = unseen && !lasts;
  const lives = (odds) => ({
    ttl: maybe(odds, () => time(60)),
    idleTtl: maybe(odds * 2, () => time(40)),
    staleWhileRevalidate: maybe(odds, () => time(40)),
    staleIfError: maybe(odds, () => time(60)),
    errorBackoff: maybe(odds, () => random(30)),
    negativeTtl: maybe(odds * 2, () => time(20)),
    refreshAhead: maybe(odds * 3, () => 1 + random(3)),
    jitter: maybe(odds * 3, () => one([0.1, 0.5, 1])),
  });
  const life = (odds) => (lasts ? {} : lives(odds));
  const tags = () => maybe(3, () => TAGS.filter(() => random(2) === 0));
  const retries = !dies && random(4) === 0;
  // What comes first of a batch or an attempt and a deadline, or of two deadlines one within the other, is not said where
  // time leaps over both.
  const leaps = !batches && !retries && random(2) === 0;
  const queues = !batches && !dies && random(3) === 0;
  const calls = random(4) === 0;
  const nests = !leaps && !dies && random(2) === 0;
  const keeps = !leaps && !batches && !queues && !retries && !dies && random(3) === 0;
  // Steps and attempts come at multiples of 4, soft deadlines one later and hard ones three, lest two come at one moment.
  const time4 = (below) => 4 * random(below >> 2);
  const waits = (odds) => ({
    // Later than a batch's window.
    softTimeout: queues && leaps ? undefined : maybe(odds, () => (batches ? 12 : 0) + 1 + time4(30)),
    hardTimeout:
      nests || queues
        ? undefined
        : maybe(odds, () => (random(8) === 0 ? "forever" : (batches ? 12 : 0) + 3 + time4(80))),
  });
  const retry = (odds) =>
    retries
      ? maybe(odds, () => {
          return {
            attempts: 1 + random(3),
            delay: nests ? 32 : one([0, 32]),
            factor: 1 + random(2),
            jitter: one([0, 0.5]),
          };
        })
      : undefined;
  const validates = random(5) === 0;
  // So does one that nobody listens to.
  const heard = anyNumber ? HOOKS.filter((name) => name !== "evict" && name !== "expire") : HOOKS;
  const hooks = one([heard, heard, undefined, heard.filter(() => random(2) === 0)]);
  const weighs = !anyNumber && random(3) === 0;
  // Nobody knows a value's bytes but who says them. (What the class can't weigh is an object, and none is null.)
  const unweighed = weighs && !batches && random(4) === 0;
  const bytes = () => (weighs ? maybe(4, () => random(15)) : undefined);
  // A batch that nobody waits for any more ends in the class as it will, and in the crate with its waiters.
  const keepLoading = (odds) => (batches ? undefined : maybe(odds, () => random(4) > 0));

  const testCase = {
    title: `seed ${seed}`,
    why: "drawn",
    figures: true,
    ...some({
      mode: dies ? "requests" : undefined,
      hooks,
      hookGets: hooks && maybe(6, () => ({ [one(["hit", "load"])]: one(KEYS) })),
    }),
    cache: some({
      ...life(2),
      ...waits(2),
      // Which comes first of two deadlines of one moment, one within the other, is not said.
      ...(nests ? { softTimeout: undefined } : {}),
      ...(anyNumber || random(2) === 0 ? {} : { maxEntries: 1 + random(5) }),
      maxBytes: weighs ? 10 + random(20) : undefined,
      maxEntryBytes: weighs ? maybe(2, () => 5 + random(10)) : undefined,
      sizeOfLength: weighs ? !unweighed : undefined,
      // Whom a full cache evicts is foreseeable with LRU alone.
      eviction: anyNumber ? maybe(2, () => "adaptive") : undefined,
      validate: validates || undefined,
      retry: retry(2),
      // What divides both faces' clocks. In Workers the crate has no such timer.
      purgeStaleEvery: dies ? undefined : maybe(8, () => one([1, 5, 10, 20])),
      keepLoading: keepLoading(4),
      random: chance / 4,
      namespaces: { n: some({ ...life(3), retry: retry(3) }), m: some(life(6)) },
      ...(queues
        ? some({
            maxConcurrentLoads: maybe(2, () => 1 + random(2)) ?? (random(2) === 0 ? 2 : undefined),
            loadsPerSecond: maybe(3, () => one([25, 50, 250])),
            maxQueuedLoads: maybe(2, () => random(3)),
          })
        : {}),
      batch: batches ? some({ batchWindow: 4 + time4(8), maxBatchSize: maybe(2, () => 1 + random(3)) }) : undefined,
    }),
    steps: [],
  };

  // The crate has no rule for "nothing there" without a ttl.
  if (testCase.cache.negativeTtl === undefined) {
    for (const options of Object.values(testCase.cache.namespaces)) delete options.negativeTtl;
  }

  const lifeOfOne = (odds) => ({ ...life(odds), negativeTtl: undefined });
  /** Those who wait and may leave. */
  const ways = [];
  const keepers = [];
  let names = 0;
  let values = 0;
  const value = () =>
    random(6) === 0 && !unweighed ? null : `${validates && random(4) === 0 ? "bad" : "v"}${++values}`;
  const place = () => some({ in: one(PLACES) || undefined });

  const ask = (depth) => {
    const number = ++names;
    const step = { ask: `w${number}`, key: one(KEYS), load: `l${number}` };
    if (batches && depth === 0 && random(2) === 0) step.load = "batch";
    else Object.assign(step, place());
    if (random(5) === 0 && depth === 0 && step.load !== "batch" && !retries) return { ...step, plain: true };
    // In the crate a loader's own asks are its loader's to drop.
    if (depth === 0) ways.push(step.ask);
    const options = { ...lifeOfOne(6), ...waits(4), tags: tags(), bytes: bytes(), forceFresh: maybe(8, () => true) };
    options.keepLoading = keepLoading(6);
    options.retry = retry(5);
    if (queues) options.priority = maybe(4, () => "low");
    // Which of two comes first that have the same moment for their deadline is not said.
    if (depth > 0 || ((nests || queues) && random(3) === 0)) options.hardTimeout = (depth > 0 ? 95 : 11) + 4 * number;
    step.with = some(options);
    if (step.load !== "batch") step.does = does();
    if (step.does === undefined) delete step.does;
    if (step.load !== "batch" && depth < 3 && nests && random(4) === 0) {
      step.asks = [ask(depth + 1)];
    }
    return step;
  };

  /** What a loader does with the cache as it begins or ends. */
  const does = () =>
    calls ? maybe(4, () => [...Array(1 + random(2))].map(() => ({ ...touch(), ...place() }))) : undefined;
  const touch = () => {
    switch (random(5)) {
      case 0:
        return { set: one(KEYS), to: value(), with: some({ ...lifeOfOne(5), tags: tags(), bytes: bytes() }) };
      case 1:
        return { get: one(KEYS) };
      case 2:
        return batches ? { has: one(KEYS) } : { deleteByTag: one(TAGS) };
      case 3:
        return random(3) === 0 ? { clear: true } : { [lasts ? "delete" : "expire"]: one(KEYS) };
      default:
        return { delete: one(KEYS) };
    }
  };

  const say = () => {
    return some({ ...lifeOfOne(5), tags: tags(), bytes: bytes(), skip: maybe(10, () => true) });
  };

  const end = (name, size) => {
    const fails = random(4) === 0;
    const error = retries && random(5) === 0 ? "final" : "down";
    if (size !== undefined) {
      const count = random(12) === 0 ? size + 1 : size;
      const values = [...Array(count)].map(() => (fails && random(2) === 0 ? { error } : value()));
      return { bring: name, values, say: [...Array(size)].map(say) };
    }
    if (name.startsWith("f")) {
      // A computation, about whose value its caller alone says something.
      if (fails) return { fail: name, error };
      return random(5) === 0 ? { bring: name, remove: true } : { bring: name, value: value() };
    }
    const ends = fails ? { fail: name, error, say: say() } : { bring: name, value: value(), say: say() };
    return some({ ...ends, does: name.startsWith("l") ? does() : undefined });
  };

  const keys = () => KEYS.filter(() => random(2) === 0);
  /** What concerns no key, or several. */
  const many = () => {
    switch (random(unweighed ? 4 : 6)) {
      case 0:
        return { pop: one(KEYS), ...place() };
      case 1:
        return { find: `v${1 + random(values + 1)}`, ...place() };
      case 2:
        return { getAllPresent: true, keys: keys(), ...place() };
      case 5:
        return random(3) === 0 && !unseen
          ? { purgeStale: true, ...place() }
          : { deleteWhere: one(["v", "v1", "null"]), ...place() };
      case 4:
        return {
          setMany: keys().map((key) => [key, value()]),
          with: some({ ...lifeOfOne(5), tags: tags() }),
          ...place(),
        };
      default:
        return { deleteMany: keys(), ...place() };
    }
  };

  const dead = new Set();
  /** Whose a load, a write or a wait is: they have one number. */
  const requestOf = (name) => `r${name.slice(1)}`;
  const step = (face) => {
    const one = drawStep(face);
    const [name] = [one.ask, one.update, one.compute, one.bring, one.fail, one.leave].filter(Boolean);
    if (dies && name !== undefined) one.request = requestOf(name);
    return unseen && left > 0 && random(4) > 0 ? { ...one, unseen: true } : one;
  };

  const drawStep = (face) => {
    const live = [...face.live].filter((name) => !dead.has(requestOf(name)));
    switch (random(25)) {
      case 0:
        return {
          set: one(KEYS),
          to: value(),
          with: some({ ...lifeOfOne(5), tags: tags(), bytes: bytes() }),
          ...place(),
        };
      case 1:
        return { get: one(KEYS), ...place() };
      case 2:
        return { [one(["peek", "peekStale", "has", "remainingTtl", "info"])]: one(KEYS), ...place() };
      case 3:
        return { [one(["delete", lasts ? "delete" : "expire"])]: one(KEYS), ...place() };
      case 4:
        if (random(4) === 0) return { clear: true, ...place() };
        if (testCase.cache.eviction !== undefined) return { getAllPresent: true, keys: keys(), ...place() };
        if (unseen) return { keys: one(["newest", "oldest"]), ...place() };
        return { [one(["size", "stats"])]: true, ...place() };
      case 5:
        // Those who ask again after a purge are answered by whichever of the batch's keys is stored first.
        if (batches) return ask(0);
        return { [one(["deleteByTag", lasts ? "deleteByTag" : "expireByTag"])]: one(TAGS), ...place() };
      case 6: {
        const number = ++names;
        ways.push(`u${number}`);
        const options = { ...lifeOfOne(6), tags: tags(), bytes: bytes(), hardTimeout: "forever" };
        return { update: `u${number}`, key: one(KEYS), write: `x${number}`, with: some(options), ...place() };
      }
      case 20:
      case 21: {
        const number = ++names;
        ways.push(`c${number}`);
        const options = { ...lifeOfOne(6), tags: tags(), bytes: bytes(), hardTimeout: maybe(3, () => 3 + time4(80)) };
        return { compute: `c${number}`, key: one(KEYS), run: `f${number}`, with: some(options), ...place() };
      }
      case 22:
        return many();
      case 23: {
        // In one turn: the crate polls those who ask when all of them have.
        if (dies && names > 0) {
          const request = `r${1 + random(names)}`;
          if (dead.has(request)) return ask(0);
          dead.add(request);
          return { lose: request };
        }
        if (batches || nests || calls || dies) return ask(0);
        if (random(2) === 0 || live.length === 0) return { together: [...Array(1 + random(4))].map(() => ask(0)) };
        if (queues) return end(live[0]);
        return { together: live.slice(0, 1 + random(4)).map((name) => end(name)) };
      }
      case 24: {
        const idle = keepers.filter((name) => !live.some((load) => load.startsWith(`${name}:`)));
        if (idle.length > 0 && random(2) === 0) {
          const [name] = idle;
          keepers.splice(keepers.indexOf(name), 1);
          return { stop: name };
        }
        if (keepers.length > 1 || !keeps) return ask(0);
        const name = `k${++names}`;
        keepers.push(name);
        const concurrency = maybe(2, () => 1 + random(2));
        return some({ keepFresh: name, keys: keys(), every: 32 + time4(20), concurrency, ...place() });
      }
      case 7:
        // What nobody waits for goes on in a Rust Worker.
        return ways.length > 0 && !dies ? { leave: one(ways.slice(-5)) } : ask(0);
      case 8:
      case 9:
        // A round that ends when the next is due is followed by that at once in the class, a millisecond later in the crate.
        if (keepers.length > 0 && live.length > 0) return end(live[0]);
        return leaps && random(2) === 0 ? { advance: time4(100) } : { walk: time4(30) };
      case 10:
      case 11:
      case 12:
      case 13:
      case 14:
        if (live.length > 0) {
          const name = one(live);
          return end(name, face.sizes.get(name));
        }
      // Falls through: what else there is to do is to ask.
      default:
        return ask(0);
    }
  };
  let left = length;
  return { testCase, draw: (face) => (left-- > 0 ? step(face) : undefined) };
}
