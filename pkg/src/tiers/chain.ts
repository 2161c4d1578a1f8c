import {
  bytes as byteCount,
  checkFunction,
  describe,
  duration,
  optionError,
  rejectUnknown,
  size,
} from "../options/options.js";
import { INSPECT } from "../figures/inspect.js";
import { ignore } from "../runtime/deferred.js";
import { onAbort } from "../runtime/signals.js";
import type { TierStats } from "../types/stats.js";
import type {
  AttachedBytes,
  FoundBytes,
  LeaseTurn,
  TierHost,
  TierLoad,
  TierPage,
  ValueLife,
} from "../types/tiering.js";
import type { Place } from "../hooks/events.js";
import { checkTier } from "./binding.js";
import { Bodies } from "./bodies.js";
import { checkCodec, Payloads } from "./codec.js";
import { failing, recovered } from "./guard.js";
import { keyText } from "./keys.js";
import { LeaseClient } from "./lease.js";
import { isOfInstance, isOfProcess } from "./parts.js";
import { type TierValue, Reader, type ReadResult } from "./reader.js";
import { Pending } from "./pending.js";
import { toSecrets } from "./secrets.js";
import type { BodyStore, LeaseSource, Tier, TierChain, TierEntry, TierOptions, TiersOptions } from "./types.js";
import { Chain, type ChainOf, place as placeName, TierPage as Page } from "./wasm.js";
import { Writer } from "./writer.js";

const OPTIONS = new Set([
  "maxLifetime",
  "clockSkew",
  "lateWrites",
  "codec",
  "compressFrom",
  "secrets",
  "lease",
  "bodies",
  "log",
]);
const TIER_OPTIONS = new Set([
  "ttl",
  "timeout",
  "failures",
  "cooldown",
  "write",
  "maxPendingBytes",
  "maxValueBytes",
  "maxStreamBytes",
]);
const DAY = 86_400_000;
/** As long a file Cloudflare's own cache keeps on most plans. */
const LONGEST_STREAM = 512 * 1024 * 1024;
/** What a chain of tiers can have. */
const MOST_TIERS = 8;
/** What takes longer to be encoded and stored was lost with its request. */
const LONGEST_STORE = 60_000;
/** So often a load waits for others' that bring nothing: right after a purge what they store is not believed. */
const MOST_WAITS = 2;

/**
 * Stores below a cache's memory, read in order. A load asks them before its loader; what it finds is copied upwards, and what
 * the loader brings is stored in all of them. It belongs to one cache.
 *
 * ```ts
 * const cache = new NearCache({ ttl: "1m", tiers: tiers([memoryTier(), redisTier(client, { ttl: "1h" })]) });
 * ```
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function tiers(list: readonly Tier[], options: TiersOptions = {}): TierChain {
  return new TierDriver(list, options);
}

/** A value that is to be stored. */
interface NewEntry {
  readonly place: string;
  readonly key: string;
  readonly value: unknown;
  /** When its load began, and which it is of all that were set here or began to be loaded. */
  readonly began: number;
  readonly number: number;
  readonly life: ValueLife;
  /** Whether what lies below, if anything does, is older and not to be handed out any more. */
  readonly replaces: boolean;
  /** Whether all tiers are waited for, not those alone that write through. */
  readonly all: boolean;
}

class TierDriver implements TierChain, AttachedBytes {
  readonly #tiers: readonly Tier[];
  readonly #through: readonly boolean[];
  #chain: ChainOf;
  readonly #newChain: (marks: boolean) => ChainOf;
  readonly #payloads: Payloads;
  readonly #log: (line: string) => void;
  readonly #places = new WeakMap<Place, string>();
  readonly #leaseSource: LeaseSource | undefined;
  readonly #bodyStore: BodyStore | undefined;
  bodies: Bodies | undefined = undefined;
  #leases: LeaseClient | undefined = undefined;
  /** Whether purges are of memory alone, and when they were where a log tells them. */
  #here = false;
  #at: number | undefined = undefined;
  #host: TierHost | undefined = undefined;
  #reader: Reader | undefined = undefined;
  #writers: readonly Writer[] = [];

  constructor(list: readonly Tier[], options: TiersOptions) {
    rejectUnknown(options, OPTIONS);
    const { maxLifetime = DAY, clockSkew = 500, lateWrites = 1_000, codec, compressFrom = Infinity } = options;
    if (!Array.isArray(list) || list.length === 0 || list.length > MOST_TIERS) {
      throw optionError(
        "tiers",
        Array.isArray(list) ? `${list.length} tiers` : describe(list),
        "a list of 1 to 8 tiers",
      );
    }
    const longest = duration("maxLifetime", maxLifetime);
    if (longest === Infinity)
      throw optionError("maxLifetime", "Infinity", "a finite time, since purges are remembered so long");
    if (options.lease !== undefined) checkFunction("lease.stub", options.lease?.stub);
    this.#leaseSource = options.lease;
    this.#bodyStore = options.bodies;
    if (this.#bodyStore !== undefined) this.#bodyBounds = readBodies(this.#bodyStore);
    const log = checkFunction("log", options.log ?? ((line) => console.warn(line)));
    this.#log = (line) => {
      try {
        log(`nearcache: ${line}`);
      } catch {
        // A log that throws is none of the cache's business.
      }
    };
    this.#payloads = new Payloads(checkCodec(codec), byteCount("compressFrom", compressFrom));
    const [skew, late] = [duration("clockSkew", clockSkew), duration("lateWrites", lateWrites)];
    const secrets = toSecrets(options.secrets);
    const read = list.map((tier, at) => readTier(tier, `tiers[${at}]`));
    const twice = list.find(({ name }, at) => list.findIndex((other) => other.name === name) < at);
    if (twice !== undefined)
      throw optionError("tiers", `two tiers ${describe(twice.name)}`, "tiers with names of their own");
    this.#newChain = (marks) => {
      const chain = new Chain(longest, skew, late, secrets, marks);
      for (const one of read) {
        chain.add_tier(one.timeout, one.ttl, one.failures, one.cooldown, one.maxPendingBytes, one.maxValueBytes);
      }
      return chain;
    };
    this.#chain = this.#newChain(true);
    this.#tiers = [...list];
    this.#through = read.map(({ write }) => write === "through");
    this.#timeouts = read.map(({ timeout }) => timeout);
    this.#cooldowns = read.map(({ cooldown }) => cooldown);
  }

  readonly #timeouts: readonly number[];
  readonly #cooldowns: readonly number[];
  readonly #bodyBounds: ReturnType<typeof readTier> | undefined = undefined;

  attach(host: TierHost, marks = true): AttachedBytes {
    if (this.#host !== undefined) throw optionError("tiers", "a chain that another cache has", "a chain of its own");
    this.#host = host;
    this.#storing = new Pending(host);
    if (!marks) this.#chain = this.#newChain(false);
    if (this.#leaseSource !== undefined) this.#leases = new LeaseClient(host, this.#leaseSource, this.#log);
    if (this.#bodyStore !== undefined) {
      this.bodies = new Bodies(host, this.#bodyStore, this.#bodyBounds!, this.#log);
    }
    const chain = this.#chain;
    const used = (): void => this.#afterUse();
    this.#writers = this.#tiers.map(
      (tier, index) => new Writer(host, chain, tier, index, this.#timeouts[index]!, this.#cooldowns[index]!, used),
    );
    const promote = (tier: number, entry: TierEntry, began: number): void => {
      void this.#writers[tier]!.write({ ...entry, began, number: NaN, replaces: false });
    };
    this.#reader = new Reader(host, chain, this.#tiers, promote, used);
    return this;
  }

  async load(load: TierLoad): Promise<unknown> {
    const named = this.#nameOf(load.place, load.key);
    if (named === undefined) return load.load();
    const { place, key } = named;
    // Of what is refreshed behind there is a value, though it may be `undefined`.
    const refresh = load.ctx.background || load.ctx.stale !== undefined;
    // What lies below is most often the very value that is to be refreshed.
    const since = refresh ? this.#host!.now() - load.age() : undefined;
    const read = async (): Promise<ReadResult> =>
      load.forced ? { held: undefined, whole: false } : this.#reader!.read({ place, key, refresh });
    const leases = load.forced || !this.#chain.uses_any(place) ? undefined : this.#leases;
    const deadline = leases?.deadline() ?? 0;
    for (let waits = 0; ;) {
      const { held, whole } = await read();
      if (held?.found.is_answer() && this.#isNews(held, since)) {
        const taken = await this.#take(load, held);
        if (taken !== undefined) return this.#say(load, held, taken);
      }
      // Where a tier does not answer, or others' loads bring nothing that is believed, waiting for them is in vain.
      const mayWait = whole && waits < MOST_WAITS;
      const turn = mayWait ? await leases?.turn(`${place} ${key}`, deadline) : undefined;
      // Another has loaded it meanwhile, or has failed.
      if (turn?.kind === "after") {
        waits += Number(turn.released);
        continue;
      }
      const release = turn?.kind === "holder" ? turn.release : undefined;
      return this.#bring(load, place, key, held, since, release);
    }
  }

  /** Calls the loader, and stores what it brings; what is held may stand in for it. */
  async #bring(
    load: TierLoad,
    place: string,
    key: string,
    held: TierValue | undefined,
    since: number | undefined,
    release: (() => Promise<void>) | undefined,
  ): Promise<unknown> {
    const host = this.#host!;
    const began = host.now();
    const number = this.#chain.begin();
    const giveBack = (): void => host.keepAlive(release!());
    // What was given up may never end, and others need not wait for it.
    const forget = release === undefined ? ignore : onAbort(load.ctx.signal, giveBack);
    let value: unknown;
    let life: ValueLife;
    try {
      // Everybody may have left while the tiers were asked.
      if ((load.ctx as { isAborted?: boolean }).isAborted) throw load.ctx.signal.reason;
      value = await load.load();
      life = load.accept(value);
    } catch (error) {
      forget();
      if (release !== undefined) giveBack();
      // Where memory has the value the failure is the cache's own: it is tried again, counted, remembered and told of, and then that value
      // stands in. The one below would hide all that.
      if (held === undefined || !this.#isNews(held, since)) throw error;
      const taken = await this.#take(load, held);
      if (taken === undefined) throw error;
      return this.#say(load, held, taken);
    }
    forget();
    const isStored = !(load.ctx as { skipped?: boolean }).skipped;
    const through = isStored
      ? this.#store({
          place,
          key,
          value,
          began,
          number,
          life,
          replaces: held !== undefined || load.forced === true,
          all: release !== undefined,
        })
      : Promise.resolve();
    // Who waits for the lease looks for the value where it was stored.
    if (release !== undefined) host.keepAlive(through.then(release));
    if (this.#through.includes(true)) await through;
    return value;
  }

  set(at: Place, key: unknown, value: unknown, life: ValueLife): void {
    const named = this.#nameOf(at, key);
    if (named === undefined) return;
    const began = this.#host!.now();
    const number = this.#chain.supersede(began, named.place, named.key);
    void this.#store({ ...named, value, began, number, life, replaces: true, all: false });
  }

  async read(at: Place, key: string): Promise<FoundBytes | undefined> {
    const { held } = await this.#reader!.read({ place: this.#place(at), key, refresh: false });
    if (held === undefined) return undefined;
    const { found } = held;
    const [layer, began] = [this.#tiers[found.tier()]!.name, found.generation()];
    const decoded = await this.#decode(held);
    found.free();
    return decoded?.value instanceof Uint8Array ? { layer, began, bytes: decoded.value } : undefined;
  }

  write(at: Place, key: string, bytes: Uint8Array, began: number, life: ValueLife, all: boolean): Promise<void> {
    return this.#store({
      place: this.#place(at),
      key,
      value: bytes,
      began,
      number: this.#chain.begin(),
      life,
      replaces: false,
      all,
    });
  }

  async turn(at: Place, key: string): Promise<LeaseTurn | undefined> {
    return this.#leases?.turn(`${this.#place(at)} ${key}`, this.#leases.deadline());
  }

  purge(at: Place, what: "key" | "tag" | "all", of?: unknown): void {
    if (isOfProcess(at)) return;
    const kind = what === "key" ? 0 : what === "tag" ? 1 : 2;
    const text = what === "key" ? this.#nameOf(at, of)?.key : what === "tag" ? (of as string) : "";
    if (text === undefined) return;
    this.#chain.purge(this.#host!.now(), this.#place(at), kind, text, this.#here, this.#at);
    this.#afterUse();
  }

  hereOnly<T>(purge: () => T, at?: number): T {
    const before = [this.#here, this.#at] as const;
    [this.#here, this.#at] = [true, at];
    try {
      return purge();
    } finally {
      [this.#here, this.#at] = before;
    }
  }

  /** As `console.log` shows it in Node, Deno and Bun. */
  [INSPECT](): string {
    return `tiers [ ${this.stats().map(inspectTier).join("; ")} ]`;
  }

  stats(place?: Place): TierStats[] {
    const now = this.#host?.now() ?? 0;
    const of = place && this.#place(place);
    return this.#tiers.map(({ name }, index) => ({
      name,
      ...(JSON.parse(this.#chain.figures(index, now, of)) as Omit<TierStats, "name" | "owesPurges">),
      owesPurges: this.#chain.owes(index),
    }));
  }

  get names(): readonly string[] {
    return this.#tiers.map(({ name }) => name);
  }

  restrict(place: Place, names: readonly string[]): void {
    this.#chain.restrict(
      this.#place(place),
      Uint8Array.from(names, (name) => this.names.indexOf(name)),
    );
  }

  health(name: string, window: number, thresholds: Float64Array): Float64Array {
    return this.#chain.health(this.names.indexOf(name), this.#host!.now(), window, thresholds);
  }

  page(cache: string, page: TierPage = new Page()): TierPage {
    (page as InstanceType<typeof Page>).add(cache, [...this.names], this.#chain, this.#host!.now());
    return page;
  }

  async flush(): Promise<void> {
    await this.#storing?.ended();
    await Promise.all(this.#writers.map((writer) => writer.flush()));
  }

  async close(): Promise<void> {
    await this.flush();
    for (const writer of this.#writers) writer.stop();
    const all = [...this.#tiers, ...(this.#bodyStore === undefined ? [] : [this.#bodyStore])];
    await Promise.allSettled(all.map((tier) => tier.close?.()));
  }

  #storing: Pending | undefined = undefined;

  /** Stores a value in all tiers; resolves when those that write through, or all, have it, or failed. Never rejects. */
  #store(entry: NewEntry): Promise<void> {
    const stored = this.#write(entry)
      // What can't be encoded, or kept so long, is not shared; that it can't is for whoever calls `set` or the loader to know.
      .catch((error: unknown) => {
        this.#log(`a value was not stored in tiers: ${String(error)}`);
        return false;
      })
      .then((mayBeShared) => {
        if (!mayBeShared && entry.replaces) this.#chain.purge(this.#host!.now(), entry.place, 0, entry.key, false);
        this.#afterUse();
      });
    const until = this.#host!.now() + LONGEST_STORE;
    this.#storing!.add(stored, () => until);
    return stored;
  }

  /** `false`: no tier may have it, since it is over at once. */
  async #write({ place, key, value, began, number, life, replaces, all }: NewEntry): Promise<boolean> {
    const { ttl, staleWhileRevalidate, staleIfError, idleTtl = Infinity, jitter = 0, age, tags, bytes } = life;
    if (ttl === 0 || idleTtl === 0) return false;
    const random = jitter > 0 ? this.#host!.random() : 0;
    const payload = await this.#payloads.write(value);
    const now = this.#host!.now();
    const write = this.#chain.write(
      now,
      place,
      key,
      began,
      number,
      Float64Array.of(ttl, staleWhileRevalidate, staleIfError, idleTtl, jitter, random),
      [...tags],
      payload.codec,
      payload.compressed,
      bytes,
      age,
      replaces,
      payload.bytes,
    );
    // It may owe a tier something now.
    this.#afterUse();
    if (write === undefined) return true;
    const [name, whole, puts] = [write.name(), write.bytes(), write.puts()];
    write.free();
    const waits: Promise<void>[] = [];
    for (let at = 0; at < puts.length; at += 2) {
      const tier = puts[at]!;
      const written = this.#writers[tier]!.write({ name, bytes: whole, ttl: puts[at + 1]!, began, number, replaces });
      if (all || this.#through[tier]) waits.push(written);
    }
    await Promise.all(waits);
    return true;
  }

  /** Whether what lies below is newer than what memory has had since then. */
  #isNews({ found }: TierValue, since: number | undefined): boolean {
    return since === undefined || found.is_newer(this.#chain, since);
  }

  /** What was found, and its age; nothing if it can't be read, the cache's rule refuses it, or it is of no use any more. */
  async #take(load: TierLoad, held: TierValue): Promise<{ value: unknown; age: number } | undefined> {
    const decoded = await this.#decode(held);
    if (decoded === undefined || load.refuses(decoded.value)) return undefined;
    const age = held.found.age(this.#host!.now());
    return age < 0 ? undefined : { ...decoded, age };
  }

  /** The value of a payload; nothing if it can't be read. */
  async #decode({ found, payload }: TierValue): Promise<{ value: unknown } | undefined> {
    try {
      const value = await this.#payloads.read({ codec: found.codec(), compressed: found.compressed(), bytes: payload });
      return { value };
    } catch {
      return undefined;
    }
  }

  /** Tells the cache how a value from below is kept. */
  #say({ ctx }: TierLoad, held: TierValue, { value, age }: { value: unknown; age: number }): unknown {
    const { ttl, staleWhileRevalidate, staleIfError, bytes, found } = held;
    Object.assign(ctx, { ttl, swr: undefined, staleWhileRevalidate, staleIfError, jitter: 0, age });
    ctx.tags = found.tags();
    if (!Number.isNaN(bytes)) ctx.bytes = bytes;
    found.free();
    return value;
  }

  /** What a key is called in the tiers; `undefined` for one that means something in this process only. */
  #nameOf(at: Place, key: unknown): { place: string; key: string } | undefined {
    const text = isOfProcess(at) || isOfInstance(at, key) ? undefined : keyText(key);
    return text === undefined ? undefined : { place: this.#place(at), key: text };
  }

  #place(at: Place): string {
    let name = this.#places.get(at);
    if (name === undefined) this.#places.set(at, (name = placeName([...at.namespaces], [...at.scopes])));
    return name;
  }

  /** Purges that could not be told are told when there is an occasion, and what is worth a line in the log is logged. */
  #afterUse(): void {
    for (const writer of this.#writers) writer.deliver();
    for (let event = this.#chain.event(); event !== undefined; event = this.#chain.event()) {
      const [kind, index, what] = event as [string, string, string];
      this.#log(LINES[kind]!(`tier ${this.#tiers[Number(index)]!.name}`, what));
    }
  }
}

function inspectTier({ name, asked, hits, reads }: TierStats): string {
  return `${name}: ${hits} of ${asked} found, breaker ${reads}`;
}

const LINES: Record<string, (tier: string, what: string) => string> = {
  failing: (tier, lane) => failing(tier, `${lane}s`, "loads go on without it"),
  recovered: (tier, lane) => recovered(tier, `${lane}s`),
  refused: (tier, why) => `${tier} holds bytes that can't be believed (${why})`,
};

function readBodies(store: BodyStore): ReturnType<typeof readTier> {
  for (const method of ["getStream", "setStream"] as const) checkFunction(`bodies.${method}`, store?.[method]);
  return readTier(store, "bodies");
}

function readTier(tier: Tier, what: string) {
  checkTier(what, tier);
  const options: TierOptions = tier.options ?? {};
  rejectUnknown(options, TIER_OPTIONS, what);
  const { ttl = Infinity, timeout = 250, failures = 5, cooldown = 5_000, write = "behind" } = options;
  if (write !== "behind" && write !== "through") throw optionError("write", describe(write), '"behind" or "through"');
  return {
    ttl: duration("ttl", ttl),
    timeout: Math.min(duration("timeout", timeout), DAY),
    failures: size("failures", failures),
    cooldown: duration("cooldown", cooldown),
    write,
    maxPendingBytes: byteCount("maxPendingBytes", options.maxPendingBytes ?? 16 * 1024 * 1024),
    maxValueBytes: byteCount("maxValueBytes", options.maxValueBytes ?? Infinity),
    maxStreamBytes: byteCount("maxStreamBytes", options.maxStreamBytes ?? LONGEST_STREAM),
  };
}
