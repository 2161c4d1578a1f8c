// A test runner that needs nothing but the language, so that one suite runs in Node, in browsers and
// inside a request in workerd.

const tests = [];

/** What the suite may depend on: set by `run`. */
export const context = { seed: 1, runtime: "" };

/** The virtual time of the test that runs; `undefined` where time is real. */
let world;

/**
 * Declares a test. Its title is a behaviour, and its body gets the world it runs in, whose time is virtual. `realTime` says
 * why the body has none, but real time. `requestBound` says
 * whether timers and promises belong to requests, as in a Worker; else that is as in the runtime.
 */
export function test(title, ...given) {
  const body = given.pop();
  const [{ realTime, requestBound } = {}] = given;
  tests.push({ title, body, realTime, requestBound });
}

/** Declares a test twice: with timers and promises that are the program's, and with such as belong to requests. */
export function testBothWays(title, body) {
  test(title, { requestBound: false }, body);
  test(`in a Worker: ${title}`, { requestBound: true }, body);
}

/**
 * Runs them one after the other. Rejections that nobody handled count as a failure of the test they came in. Without
 * `makeWorld` all time is real.
 */
export async function run({ seed = 1, runtime, timeout = 10_000, only = "", makeWorld }) {
  Object.assign(context, { seed, runtime });
  const unhandled = [];
  const stop = onUnhandled((reason) => unhandled.push(reason));
  const failures = [];
  let passed = 0;
  for (const { title, body, realTime, requestBound } of tests) {
    if (!title.includes(only)) continue;
    if (requestBound && Promise.withResolvers === undefined) {
      console.log(`${runtime}: NOT RUN: ${title}: Promise.withResolvers is missing, and with it requests`);
      continue;
    }
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not over after ${timeout} ms`)), timeout);
    });
    try {
      if (realTime === undefined) world = makeWorld?.({ requestBound });
      await Promise.race([world === undefined ? body() : world.run(body), late]);
      // Unhandled rejections are told when the task has ended.
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (unhandled.length > 0) throw new Error(`unhandled rejection: ${show(unhandled[0])}`);
      passed++;
    } catch (error) {
      failures.push({ title, error: String(error?.stack ?? error) });
    } finally {
      unhandled.length = 0;
      clearTimeout(timer);
      world?.leave();
      world = undefined;
    }
  }
  stop();
  return { passed, failed: failures.length, failures };
}

function onUnhandled(report) {
  if (globalThis.process?.versions?.node !== undefined && typeof addEventListener !== "function") {
    process.on("unhandledRejection", report);
    return () => process.off("unhandledRejection", report);
  }
  const listener = (event) => {
    event.preventDefault();
    report(event.reason);
  };
  addEventListener("unhandledrejection", listener);
  return () => removeEventListener("unhandledrejection", listener);
}

export function ok(condition, what = "it") {
  if (!condition) throw new Error(`${what} does not hold`);
}

/** Compares deeply; NaN equals NaN, and 0 does not equal -0. */
export function equal(got, wanted, what = "value") {
  if (!same(got, wanted)) throw new Error(`${what}: got ${show(got)}, wanted ${show(wanted)}`);
}

/** The error that `body` (a function, called, or a promise) ends with; an error if it ends well. */
export async function rejects(body, wanted = {}) {
  let value;
  try {
    value = await (typeof body === "function" ? body() : body);
  } catch (error) {
    matches(error, wanted);
    return error;
  }
  throw new Error(`no error, but ${show(value)}; wanted ${show(wanted)}`);
}

/** As `rejects`, for what throws at once. */
export function throws(body, wanted = {}) {
  let value;
  try {
    value = body();
  } catch (error) {
    matches(error, wanted);
    return error;
  }
  throw new Error(`nothing thrown, but got ${show(value)}; wanted ${show(wanted)}`);
}

function matches(error, wanted) {
  for (const [name, value] of Object.entries(wanted)) {
    const fits = value instanceof RegExp ? value.test(error?.[name]) : same(error?.[name], value);
    if (!fits) throw new Error(`error.${name}: got ${show(error?.[name])}, wanted ${show(value)} (${show(error)})`);
  }
}

function same(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  // What they hold are no properties.
  if (a instanceof Map || a instanceof Set) return same([...a], [...b]);
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && same(a[name], b[name]))
  );
}

function show(value) {
  if (Object.is(value, -0)) return "-0";
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${Object.entries(value)
      .map(([name, v]) => `${name}: ${show(v)}`)
      .join(", ")}}`;
  }
  return String(value);
}

/** Milliseconds by the clock of the test that runs. */
export const now = () => (world === undefined ? Date.now() : world.now);

/** Resolves after `millis` of the test's time. */
export const sleep = (millis) =>
  world === undefined ? new Promise((resolve) => setTimeout(resolve, millis)) : world.sleep(millis);

/** Lets what is ready to run do so, without time passing. */
export async function settleDown() {
  for (let i = 0; i < 20; i++) await undefined;
}

/** Keeps the thread busy for so long, within one task. */
export function busy(millis) {
  const end = now() + millis;
  if (world !== undefined) world.now = end;
  while (now() < end);
}

/** A clock that stands still until told otherwise. */
export function handClock(start = 1_000_000) {
  const clock = () => clock.now;
  clock.now = start;
  clock.pass = (millis) => (clock.now += millis);
  return clock;
}

/** A loader that never ends. */
export const never = () => new Promise(() => {});

/** A loader that waits to be told how to end, and counts its calls. */
export function held() {
  const loads = [];
  const loader = (key, ctx) => {
    // Node 20 has no Promise.withResolvers.
    return new Promise((resolve, reject) => loads.push({ key, ctx, resolve, reject }));
  };
  loader.loads = loads;
  return loader;
}

/** Numbers that a seed determines: `random(n)` is a whole one below n. */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}
