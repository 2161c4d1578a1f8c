// Draws sequences of the contract's steps: few keys, few parts and short times, so that what can meet does.

import { randomFrom } from "../runner.mjs";

const KEYS = ["a", "b", "c", "d"];
const PLACES = ["", "", "", "n", "#u", "n #u", "#u n"];
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
  const batches = random(3) === 0;
  const life = (odds) => ({
    ttl: maybe(odds, () => time(60)),
    idleTtl: maybe(odds * 2, () => time(40)),
    staleWhileRevalidate: maybe(odds, () => time(40)),
    staleIfError: maybe(odds, () => time(60)),
    errorBackoff: maybe(odds, () => random(30)),
    negativeTtl: maybe(odds * 2, () => time(20)),
    refreshAhead: maybe(odds * 3, () => 1 + random(3)),
    jitter: maybe(odds * 3, () => one([0.1, 0.5, 1])),
  });
  const waits = (odds) => ({
    // Later than a batch's window, lest both come at one moment.
    softTimeout: maybe(odds, () => (batches ? 12 : 1) + random(30)),
    hardTimeout: maybe(odds, () => (random(8) === 0 ? "forever" : (batches ? 12 : 1) + random(80))),
  });
  const tags = () => maybe(3, () => TAGS.filter(() => random(2) === 0));
  const weighs = random(3) === 0;
  // Nobody knows a value's bytes but who says them. (What the class can't weigh is an object, and none is null.)
  const unweighed = weighs && !batches && random(4) === 0;
  const bytes = () => (weighs ? maybe(4, () => random(15)) : undefined);
  // A batch that nobody waits for any more ends in the class as it will, and in the crate with its waiters.
  const keepLoading = (odds) => (batches ? undefined : maybe(odds, () => random(4) > 0));
  // What comes first of a batch and a deadline, or of two deadlines one within the other, is not said where time leaps
  // over both.
  const leaps = !batches && random(2) === 0;
  const queues = !batches && random(3) === 0;

  const testCase = {
    title: `seed ${seed}`,
    why: "drawn",
    figures: true,
    hooks: HOOKS,
    cache: some({
      ...life(2),
      ...waits(2),
      maxEntries: maybe(2, () => 1 + random(5)),
      maxBytes: weighs ? 10 + random(20) : undefined,
      maxEntryBytes: weighs ? maybe(2, () => 5 + random(10)) : undefined,
      sizeOfLength: weighs ? !unweighed : undefined,
      // No value that is drawn is refused, but each is looked at.
      validate: maybe(5, () => true),
      keepLoading: keepLoading(4),
      random: chance / 4,
      namespaces: { n: some(life(3)) },
      ...(queues
        ? some({
            maxConcurrentLoads: maybe(2, () => 1 + random(2)) ?? (random(2) === 0 ? 2 : undefined),
            loadsPerSecond: maybe(3, () => one([20, 50, 200])),
            maxQueuedLoads: maybe(2, () => random(3)),
          })
        : {}),
      batch: batches ? some({ batchWindow: 1 + random(10), maxBatchSize: maybe(2, () => 1 + random(3)) }) : undefined,
    }),
    steps: [],
  };

  // The crate has no rule for "nothing there" without a ttl.
  if (testCase.cache.negativeTtl === undefined) delete testCase.cache.namespaces.n.negativeTtl;

  const lifeOfOne = (odds) => ({ ...life(odds), negativeTtl: undefined });
  /** Those who wait and may leave. */
  const ways = [];
  let names = 0;
  let values = 0;
  const value = () => (random(6) === 0 && !unweighed ? null : `v${++values}`);
  const place = () => some({ in: one(PLACES) || undefined });

  const ask = (depth) => {
    const number = ++names;
    const step = { ask: `w${number}`, key: one(KEYS), load: `l${number}` };
    if (batches && depth === 0 && random(2) === 0) step.load = "batch";
    else Object.assign(step, place());
    if (random(5) === 0 && depth === 0 && step.load !== "batch") return { ...step, plain: true };
    // In the crate a loader's own asks are its loader's to drop.
    if (depth === 0) ways.push(step.ask);
    const options = { ...lifeOfOne(6), ...waits(4), tags: tags(), bytes: bytes(), forceFresh: maybe(8, () => true) };
    options.keepLoading = keepLoading(6);
    if (queues) options.priority = maybe(4, () => "low");
    // Which of two comes first that have the same moment for their deadline is not said.
    if (depth > 0) options.hardTimeout = 93 + number;
    step.with = some(options);
    if (step.load !== "batch" && depth < 3 && !leaps && random(8) === 0) {
      step.asks = [ask(depth + 1)];
    }
    return step;
  };

  const say = () => {
    return some({ ...lifeOfOne(5), tags: tags(), bytes: bytes(), skip: maybe(10, () => true) });
  };

  const end = (name, size) => {
    const fails = random(4) === 0;
    if (size !== undefined) {
      const count = random(12) === 0 ? size + 1 : size;
      const values = [...Array(count)].map(() => (fails && random(2) === 0 ? { error: "down" } : value()));
      return { bring: name, values, say: [...Array(size)].map(say) };
    }
    if (name.startsWith("f")) {
      // A computation, about whose value its caller alone says something.
      if (fails) return { fail: name, error: "down" };
      return random(5) === 0 ? { bring: name, remove: true } : { bring: name, value: value() };
    }
    return fails ? { fail: name, error: "down", say: say() } : { bring: name, value: value(), say: say() };
  };

  const keys = () => KEYS.filter(() => random(2) === 0);
  /** What concerns no key, or several. */
  const many = () => {
    switch (random(unweighed ? 4 : 5)) {
      case 0:
        return { pop: one(KEYS), ...place() };
      case 1:
        return { find: `v${1 + random(values + 1)}`, ...place() };
      case 2:
        return { getAllPresent: true, keys: keys(), ...place() };
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

  const step = (face) => {
    const live = [...face.live];
    switch (random(23)) {
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
        return { [one(["delete", "expire"])]: one(KEYS), ...place() };
      case 4:
        return random(4) === 0 ? { clear: true, ...place() } : { size: true, ...place() };
      case 5:
        // Those who ask again after a purge are answered by whichever of the batch's keys is stored first.
        if (batches) return ask(0);
        return { [one(["deleteByTag", "expireByTag"])]: one(TAGS), ...place() };
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
        const options = { ...lifeOfOne(6), tags: tags(), bytes: bytes(), hardTimeout: maybe(3, () => 1 + random(80)) };
        return { compute: `c${number}`, key: one(KEYS), run: `f${number}`, with: some(options), ...place() };
      }
      case 22:
        return many();
      case 7:
        return ways.length > 0 ? { leave: one(ways.slice(-5)) } : ask(0);
      case 8:
      case 9:
        return leaps && random(2) === 0 ? { advance: random(100) } : { walk: random(30) };
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
