import { Alarm } from "./runtime/alarm.js";
import { hostClock } from "./runtime/clock.js";
import { deferred, ignore } from "./runtime/deferred.js";
import { host } from "./runtime/host.js";
import {
  abortSignal,
  checkBoolean,
  checkFunction,
  count,
  describe,
  duration,
  optionError,
  rejectUnknown,
} from "./options/options.js";
import { either, onAbort } from "./runtime/signals.js";
import type { Loader } from "./types/loader.js";
import type {
  CacheLike,
  GetOrSetOptions,
  KeepFresh,
  KeepFreshOptions,
  WarmupEntries,
  WarmupEntry,
  WarmupOptions,
  WarmupProgress,
  WarmupResult,
} from "./types/types.js";

const WARMUP_OPTIONS = new Set(["concurrency", "loader", "onProgress", "signal"]);
const KEEP_OPTIONS = new Set(["every", "concurrency", "loader", "onError", "timers"]);
const ENTRY = new Set(["key", "loader", "options"]);
const CONCURRENCY = 10;

/** `NearCache.warmup`. */
export async function warmup<K, V>(
  cache: CacheLike<K, V>,
  entries: WarmupEntries<K, V>,
  options: WarmupOptions<K, V> = {},
): Promise<WarmupResult<K>> {
  rejectUnknown(options, WARMUP_OPTIONS);
  const { onProgress, signal } = options;
  const run: Round<K, V> = {
    ...parse(options),
    call: signal === undefined ? {} : { signal: abortSignal("signal", signal) },
    onFailed: undefined,
    onProgress: onProgress === undefined ? undefined : checkFunction("onProgress", onProgress),
  };
  listable(entries);
  if (signal === undefined) return round(cache, entries, run);
  signal.throwIfAborted();
  const { promise, reject } = deferred<never>();
  const forget = onAbort(signal, () => reject(signal.reason));
  try {
    return await Promise.race([round(cache, entries, run), promise]);
  } finally {
    forget();
  }
}

/** `NearCache.keepFresh`. */
export function keepFresh<K, V>(
  cache: CacheLike<K, V>,
  entries: WarmupEntries<K, V> | (() => WarmupEntries<K, V>),
  options: KeepFreshOptions<K, V>,
): KeepFresh<K> {
  rejectUnknown(options, KEEP_OPTIONS);
  const { onError, timers = !host.requestBound } = options;
  const every = duration("every", options.every);
  if (every === 0) throw optionError("every", "0", "more than that");
  if (onError !== undefined) checkFunction("onError", onError);
  checkBoolean("timers", timers);
  const settings = { ...parse(options), call: { forceFresh: true }, onProgress: undefined };
  if (typeof entries !== "function") {
    listable(entries);
    const walked: unknown =
      (entries as Partial<Iterable<unknown>>)[Symbol.iterator]?.() ??
      (entries as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    if (walked === entries)
      throw optionError("entries", "what can be walked only once", "a list, a Map, or a function that returns one");
  }

  const begin = async (onFailed: Round<K, V>["onFailed"]): Promise<WarmupResult<K>> => {
    const list = typeof entries === "function" ? entries() : entries;
    listable(list);
    return round(cache, list, { ...settings, onFailed });
  };
  let underWay: Promise<WarmupResult<K>> | undefined;
  const share = (onFailed?: Round<K, V>["onFailed"]): Promise<WarmupResult<K>> => {
    // In a Worker a round may die with its request, and then never ends. Loads are shared anyway.
    if (host.requestBound) return begin(onFailed);
    return (underWay ??= begin(onFailed).finally(() => (underWay = undefined)));
  };
  const run = (): Promise<WarmupResult<K>> => share();
  if (!timers || every === Infinity) return keeper(run, ignore);

  let stopped = false;
  let due = 0;
  const onAlarm = async (at: number): Promise<void> => {
    if (at < due) return wait(at);
    const began = hostClock.read();
    try {
      await share(onError);
    } catch (error) {
      quietly(() => onError?.(error));
    }
    if (stopped) return;
    const ended = hostClock.read();
    due = Math.min(Math.max(began + every, ended), ended + every);
    wait(ended);
  };
  const alarm = new Alarm(false);
  alarm.onAlarm = (at) => void onAlarm(at);
  const wait = (at: number): void => alarm.set(due, at);
  due = hostClock.read() + every;
  wait(hostClock.read());
  return keeper(run, () => {
    stopped = true;
    alarm.off();
  });
}

function keeper<K>(run: () => Promise<WarmupResult<K>>, stop: () => void): KeepFresh<K> {
  return { run, stop, [Symbol.dispose]: stop };
}

interface Round<K, V> {
  readonly concurrency: number;
  readonly loader: Loader<K, V> | undefined;
  /** What each call is made with, over its own options. */
  readonly call: GetOrSetOptions;
  /** Told of each key at once. */
  readonly onFailed: ((error: unknown, key: K) => unknown) | undefined;
  readonly onProgress: ((progress: WarmupProgress<K>) => void) | undefined;
}

function parse<K, V>({ concurrency = CONCURRENCY, loader }: Pick<WarmupOptions<K, V>, "concurrency" | "loader">) {
  if (count("concurrency", concurrency) === 0) throw optionError("concurrency", "0", "a whole number from 1 on");
  return { concurrency, loader: loader === undefined ? undefined : checkFunction("loader", loader) };
}

async function round<K, V>(
  cache: CacheLike<K, V>,
  entries: WarmupEntries<K, V>,
  settings: Round<K, V>,
): Promise<WarmupResult<K>> {
  const { concurrency, loader, call, onFailed, onProgress } = settings;
  const result: WarmupResult<K> = { loaded: 0, failed: [] };
  const total = (entries as { size?: number }).size ?? (entries as { length?: number }).length;
  const through = (progress: { key: K; error?: unknown }): void => {
    if (call.signal?.aborted) return;
    const done = result.loaded + result.failed.length;
    if (onProgress !== undefined) quietly(() => onProgress({ done, total, ...progress }));
  };
  const load = async (key: K, own: Loader<K, V> | undefined, options: GetOrSetOptions | undefined): Promise<void> => {
    let forget: (() => void) | undefined;
    try {
      const both = together(options, call);
      ({ forget } = both);
      await cache.getOrSet(key, own as Loader<K, V>, both.options);
      result.loaded++;
    } catch (error) {
      result.failed.push({ key, error });
      quietly(() => onFailed?.(error, key));
      through({ key, error });
      return;
    } finally {
      forget?.();
    }
    through({ key });
  };

  const running = new Set<Promise<void>>();
  // One promise for each time that there is no place. A race would leave a callback on every load that is under way, for every key.
  let ended = (): void => {};
  for await (const entry of entries instanceof Map
    ? fromMap<K, V>(entries)
    : (entries as Iterable<WarmupEntry<K, V>>)) {
    if (call.signal?.aborted) break;
    rejectUnknown(entry, ENTRY, "entry");
    // Here, so that what a getter throws is the list's own error.
    const { key, loader: own = loader, options } = entry;
    const loading: Promise<void> = load(key, own, options).finally(() => {
      running.delete(loading);
      ended();
    });
    running.add(loading);
    if (running.size >= concurrency) await new Promise<void>((resolve) => (ended = resolve));
  }
  await Promise.all(running);
  return result;
}

function* fromMap<K, V>(map: ReadonlyMap<K, Loader<K, V>>): Iterable<WarmupEntry<K, V>> {
  for (const [key, loader] of map) yield { key, loader };
}

/** An entry's options and ours, which go first; either's signal ends it, until both are forgotten. */
function together(
  own: GetOrSetOptions | undefined,
  ours: GetOrSetOptions,
): { options: GetOrSetOptions; forget?: () => void } {
  // Who waits for something goes before.
  const both = { priority: "low", ...own, ...ours } as const;
  if (own?.signal === undefined || ours.signal === undefined) return { options: both };
  const { signal, forget } = either(abortSignal("signal", own.signal), ours.signal);
  return { options: { ...both, signal }, forget };
}

function listable(entries: unknown): void {
  const list = entries as Partial<Iterable<unknown> & AsyncIterable<unknown>> | null | undefined;
  if (typeof entries === "object" && (list?.[Symbol.iterator] ?? list?.[Symbol.asyncIterator]) !== undefined) return;
  throw optionError("entries", describe(entries), "a Map from keys to loaders, or a list of {key, loader, options}");
}

/** Calls what is the user's. That it throws or rejects is not our failure. */
function quietly(call: () => unknown): void {
  new Promise((resolve) => resolve(call())).catch(ignore);
}
