// One load for the whole edge: of the isolates that lack a key one loads it, and the others wait until it is in the tiers.

import { checkBinding, shardCount } from "./binding.js";
import { type Duration, duration, rejectUnknown } from "../options/options.js";
import type { LeaseTurn, TierHost } from "../types/tiering.js";
import { WELL, within } from "./calls.js";
import { Guard } from "./guard.js";
import type { ObjectNamespace } from "./platform.js";
import type { LeaseSource, LeaseStub } from "./types.js";
import { Leases } from "./wasm.js";

/** How leases are asked for. */
export interface LeaseOptions {
  /** The number of objects that keys are spread over; one takes some hundred requests a second. Default 16. */
  shards?: number | undefined;
  /** How long a holder has it that does not say that it lives. It says so three times in that. Default 2 s. */
  ttl?: Duration | undefined;
  /** How long to wait for another's load, before loading oneself. Default 10 s. */
  wait?: Duration | undefined;
  /** How long the object may take to answer; then the load goes on without it. Default 500 ms. */
  timeout?: Duration | undefined;
}

const OPTIONS = new Set(["shards", "ttl", "wait", "timeout"]);

/**
 * Leases by Durable Objects of the class that {@link leaseObject} makes: `tiers(list, { lease: objectLease(env.LEASE) })`. Wants a tier
 * that all isolates see at once, an `objectTier` or Redis. A load then costs a round trip more, and its value is stored before others
 * are let go; where the object can't be reached loads go on without.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function objectLease(namespace: ObjectNamespace, options: LeaseOptions = {}): LeaseSource {
  checkBinding("namespace", namespace, "idFromName", "a namespace of Durable Objects");
  rejectUnknown(options, OPTIONS);
  const { shards = 16, ttl = 2_000, wait = 10_000, timeout = 500 } = options;
  shardCount(shards);
  return {
    settings: { ttl: duration("ttl", ttl), wait: duration("wait", wait), timeout: duration("timeout", timeout) },
    stub(name) {
      let hash = 0;
      for (let at = 0; at < name.length; at++) hash = (Math.imul(hash, 31) + name.charCodeAt(at)) | 0;
      return namespace.get(namespace.idFromName(`lease ${(hash >>> 0) % shards}`)) as LeaseStub;
    },
  };
}

/**
 * The class of the objects behind {@link objectLease}: `export class LeaseObject extends leaseObject(DurableObject) {}`. Leases lie in its
 * memory alone: if it is moved, a key may be loaded twice.
 */
export function leaseObject<B extends abstract new (...args: any[]) => any>(
  Base: B,
): new (ctx: any, env: any) => InstanceType<B> & LeaseStub {
  abstract class LeaseHolder extends Base {
    readonly #leases = new Leases();
    readonly #waiting = new Map<string, Set<(released: boolean) => void>>();

    async acquire(name: string, ttl: number): Promise<number> {
      return this.#leases.acquire(Date.now(), name, ttl);
    }

    async wait(name: string, millis: number): Promise<boolean> {
      // What was given back meanwhile needs no waiting; asking for no time tells, and takes nothing.
      const held = -this.#leases.acquire(Date.now(), name, 0);
      if (held <= 0) return true;
      return new Promise<boolean>((resolve) => {
        const waiting = this.#waiting.get(name) ?? new Set();
        this.#waiting.set(name, waiting);
        const end = (released: boolean): void => {
          clearTimeout(timer);
          waiting.delete(end);
          if (waiting.size === 0) this.#waiting.delete(name);
          resolve(released);
        };
        const timer = setTimeout(() => end(false), Math.min(held, millis));
        waiting.add(end);
      });
    }

    async renew(name: string, token: number, ttl: number): Promise<boolean> {
      return this.#leases.renew(Date.now(), name, token, ttl);
    }

    async release(name: string, token: number): Promise<boolean> {
      const released = this.#leases.release(name, token);
      if (released) for (const end of [...(this.#waiting.get(name) ?? [])]) end(true);
      return released;
    }
  }
  return LeaseHolder as unknown as new (ctx: any, env: any) => InstanceType<B> & LeaseStub;
}

const ALONE: LeaseTurn = { kind: "alone" };

const BREAKER = { failures: 3, cooldown: 5_000 };
const LINES = { failing: "leases fail; loads go on without", recovered: "leases work again" };

/** Asks for leases, within bounds. */
export class LeaseClient {
  readonly #guard: Guard;

  constructor(
    private readonly host: TierHost,
    private readonly source: LeaseSource,
    log: (line: string) => void,
  ) {
    this.#guard = new Guard(host, BREAKER, log, LINES);
  }

  /** Until when a load may wait for others. */
  deadline(): number {
    return this.host.now() + this.source.settings.wait;
  }

  /** Takes the lease of a name, or waits until its holder has done. Never rejects. */
  async turn(name: string, deadline: number): Promise<LeaseTurn> {
    const { host, source } = this;
    const { ttl, timeout } = source.settings;
    const stub = source.stub(name);
    const token = await this.#call(() => stub.acquire(name, ttl));
    if (token === undefined || token === 0) return ALONE;
    if (token > 0) return this.#hold(stub, name, token);
    const left = deadline - host.now();
    if (left <= 0) return ALONE;
    // The object answers when the lease has ended, at the latest.
    const ended = await within(host, Math.min(left, ttl) + timeout, () => stub.wait(name, left));
    return ended.end === WELL && host.now() < deadline ? { kind: "after", released: ended.value } : ALONE;
  }

  #hold(stub: LeaseStub, name: string, token: number): LeaseTurn {
    const { host, source } = this;
    const { ttl } = source.settings;
    let timer: unknown;
    const beat = (): void => {
      timer = host.setTimer(() => {
        beat();
        void this.#call(() => stub.renew(name, token, ttl));
      }, ttl / 3);
    };
    beat();
    return {
      kind: "holder",
      release: async () => {
        host.clearTimer(timer);
        await this.#call(() => stub.release(name, token));
      },
    };
  }

  /** Calls the object, if it is not left alone. */
  async #call<T>(call: () => Promise<T>): Promise<T | undefined> {
    const { host, source } = this;
    const { timeout } = source.settings;
    if (!this.#guard.admits(timeout)) return undefined;
    const ended = await within(host, timeout, call);
    this.#guard.ended(ended.end === WELL);
    return ended.end === WELL ? ended.value : undefined;
  }
}
