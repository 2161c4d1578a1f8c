import type { TierHost } from "../types/tiering.js";
import { deleteMany, Session, setMany, within } from "./calls.js";
import type { Tier, TierEntry } from "./types.js";
import type { ChainOf } from "./wasm.js";

/** In so many ms a timer tells what could not be told, whatever a tier's cooldown. */
const SOONEST = 1_000;
const LATEST = 86_400_000;
/** In place of a timer where none is wanted any more. */
const CLOSED = {};

interface Turn {
  readonly entries: TierEntry[];
  readonly ended: Promise<void>;
}

/** Writes what is to be written to a tier in one turn together, and tells it of purges. */
export class Writer {
  private turn: Turn | undefined = undefined;
  /** Until when somebody tells the tier. In a Worker that one may be gone with its request. */
  private toldBy = -Infinity;
  /** The timer after which purges that could not be told are told again. In a Worker it may be gone with its request. */
  private later: unknown = undefined;
  /** What is on its way. */
  private readonly pending = new Set<Promise<void>>();

  constructor(
    private readonly host: TierHost,
    private readonly chain: ChainOf,
    private readonly tier: Tier,
    private readonly index: number,
    private readonly timeout: number,
    private readonly cooldown: number,
    private readonly onTierUsed: () => void,
  ) {}

  /** Writes an entry soon; resolves when it has been written, or not. */
  write(entry: TierEntry): Promise<void> {
    const turn = (this.turn ??= this.begin());
    turn.entries.push(entry);
    return turn.ended;
  }

  private begin(): Turn {
    const entries: TierEntry[] = [];
    const { host } = this;
    const ended = new Promise<void>((resolve) => host.afterPromiseJobs(resolve, entries)).then(async () => {
      this.turn = undefined;
      const bytes = entries.reduce((sum, entry) => sum + entry.bytes.length, 0);
      const session = new Session(this.tier);
      const { end } = await within(host, this.timeout, () => setMany(session.open(), entries));
      session.close();
      this.chain.written(this.index, host.now(), entries.length, bytes, end);
      this.onTierUsed();
    });
    this.hold(ended);
    return { entries, ended };
  }

  /** Tells the tier what was purged, as far as it has not been told. */
  deliver(): void {
    if (this.host.now() < this.toldBy || !this.chain.owes(this.index)) return;
    this.toldBy = this.host.now() + 2 * this.timeout;
    this.hold(
      this.tell().finally(() => {
        this.toldBy = -Infinity;
        this.deliverLater();
      }),
    );
  }

  /**
   * Nobody may use the tier for long, as where all gets are hits: so a timer tells what could not be told. It holds neither a process
   * nor the cache.
   */
  private deliverLater(): void {
    if (this.later !== undefined || !this.chain.owes(this.index)) return;
    const self = new WeakRef(this);
    const ring = (): void => {
      const writer = self.deref();
      if (writer === undefined) return;
      writer.later = undefined;
      writer.deliver();
    };
    try {
      this.later = this.host.setTimer(ring, Math.min(Math.max(this.cooldown, SOONEST), LATEST));
      (this.later as Partial<NodeJS.Timeout>).unref?.();
    } catch {
      // Where there are no timers it waits for the next use.
    }
  }

  /** No timer tells anything any more. */
  stop(): void {
    if (this.later !== undefined && this.later !== CLOSED) this.host.clearTimer(this.later);
    // So that none is set anew.
    this.later = CLOSED;
  }

  private async tell(): Promise<void> {
    const { host, chain, tier, index } = this;
    for (;;) {
      const delivery = chain.delivery(index, host.now());
      if (delivery === undefined) return;
      this.toldBy = host.now() + 2 * this.timeout;
      const [names, bytes, ttl, deletes] = [delivery.names(), delivery.bytes(), delivery.ttl(), delivery.deletes()];
      const marks = names.map((name, at) => ({ name, bytes: bytes[at] as Uint8Array, ttl }));
      // The marks first: what is stored between the two is ended by them.
      const session = new Session(tier);
      const tell = (): Promise<unknown> =>
        Promise.all([setMany(session.open(), marks), deleteMany(session.open(), deletes)]);
      const { end } = await within(host, this.timeout, tell);
      session.close();
      chain.delivered(index, host.now(), delivery, end);
      delivery.free();
      this.onTierUsed();
      if (end !== 0) return;
    }
  }

  private hold(promise: Promise<void>): void {
    const held = promise.catch(() => {}).finally(() => this.pending.delete(held));
    this.pending.add(held);
    this.host.keepAlive(held);
  }

  /** Resolves when nothing is on its way. */
  async flush(): Promise<void> {
    while (this.pending.size > 0) await Promise.all(this.pending);
  }
}
