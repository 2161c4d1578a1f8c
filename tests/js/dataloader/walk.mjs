// A random walk over a loader: calls and batches in their order, then what each call came to, and in which
// task. The same seed gives the same calls to any class.

import { randomFrom, settleDown } from "../runner.mjs";

const KEYS = [0, 1, 2, 3, "a", "b", "", false, NaN, { id: 1 }, { id: 2 }];

export async function walk(DataLoader, seed) {
  const random = randomFrom(seed);
  const log = [];
  const show = (value) =>
    value instanceof Error
      ? `${value.name}: ${value.message}`
      : typeof value === "object"
        ? JSON.stringify(value)
        : String(value);
  const pick = () => KEYS[random(KEYS.length)];
  const some = () => Array.from({ length: random(5) }, pick);

  const sends = [];
  const options = {
    ...(random(3) === 0 && { maxBatchSize: 1 + random(4) }),
    ...(random(8) === 0 && { cache: false }),
    ...(random(8) === 0 && { batch: false }),
    ...(random(3) === 0 && { cacheKeyFn: (key) => (typeof key === "object" ? key.id : key) }),
    ...(random(4) === 0 && { batchScheduleFn: (send) => sends.push(send) }),
  };
  // What comes of a batch is drawn when it is sent, so that batches sent in another order show.
  let batches = 0;
  const outcomes = [];
  let task = 0;
  const loader = new DataLoader(function (keys) {
    const batch = batches++;
    log.push(`batch ${batch}: ${keys.map(show)}`);
    const values = keys.map((key) =>
      random(5) === 0
        ? new Error(`batch ${batch} fails ${show(key)}`)
        : random(6) === 0
          ? Promise.resolve(`late ${batch} ${show(key)}`)
          : `batch ${batch} ${show(key)}`,
    );
    switch (random(14)) {
      case 0:
        throw new Error(`batch ${batch} throws`);
      case 1:
        return random(2) ? undefined : values;
      case 2:
        return Promise.reject(new Error(`batch ${batch} rejects`));
      case 3:
        return Promise.resolve(random(2) ? "no array" : values.slice(1));
      case 4:
      case 5:
        return settleDown().then(() => values);
      case 6:
      case 7: {
        // Over in a later task.
        const turns = 1 + random(3);
        return (async () => {
          for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
          return values;
        })();
      }
      default:
        return Promise.resolve(values);
    }
  }, options);

  const waits = [];
  let calls = 0;
  const watch = (what, promise) => {
    const call = calls++;
    log.push(`call ${call}: ${what}`);
    waits.push(
      promise.then(
        (value) =>
          (outcomes[call] = `task ${task}: call ${call} gets ${Array.isArray(value) ? value.map(show) : show(value)}`),
        (error) => (outcomes[call] = `task ${task}: call ${call} fails ${show(error)}`),
      ),
    );
  };
  const act = () => {
    const key = pick();
    switch (random(12)) {
      case 0:
        log.push(`clear ${show(key)}`);
        return void loader.clear(key);
      case 1:
        if (random(4) > 0) return;
        log.push("clearAll");
        return void loader.clearAll();
      case 2: {
        const value = [`primed ${calls}`, Promise.resolve(`promised ${calls}`), new Error(`primed ${calls}`)][
          random(3)
        ];
        log.push(`prime ${show(key)}`);
        return void loader.prime(key, value);
      }
      case 3:
      case 4: {
        const keys = some();
        return watch(`loadMany ${keys.map(show)}`, loader.loadMany(keys));
      }
      case 5: {
        // From a promise job, some turns deep.
        const turns = random(15);
        waits.push(
          (async () => {
            for (let i = 0; i < turns; i++) await undefined;
            watch(`load ${show(key)} ${turns} turns later`, loader.load(key));
          })(),
        );
        return;
      }
      default:
        return watch(`load ${show(key)}`, loader.load(key));
    }
  };
  for (task = 0; task < 6; task++) {
    const count = random(8);
    for (let i = 0; i < count; i++) act();
    if (random(3) === 0) await undefined;
    if (sends.length > 0 && random(2)) sends.splice(random(sends.length), 1)[0]();
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (let done = -1; done !== waits.length; task++) {
    done = waits.length;
    for (const send of sends.splice(0)) send();
    await Promise.all(waits);
  }
  return [...log, ...outcomes];
}
