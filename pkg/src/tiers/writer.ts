import { deferred } from "../runtime/deferred.js";
import type { TierHost } from "../types/tiering.js";
import { deleteMany, Session, setMany, within } from "./calls.js";
import { Pending } from "./pending.js";
import type { Tier, TierEntry } from "./types.js";
import type { ChainOf } from "./wasm.js";

/** In so many ms a timer tells what could not be told, whatever a tier's cooldown. */
const SOONEST = 1_000;
const LATEST = 86_400_000;
/** In place of a timer where none is wanted any more. */
const CLOSED = {};

/** What is to be written. */
export interface NewBytes extends TierEntry {
  /** When its load began, and its number; NaN for what was copied from another tier. */
  readonly began: number;
  readonly number: number;
  /** Whether what lies there is older, and not to be handed out any more. */
  replaces: boolean;
}

interface Turn {
  /** By name. */
  readonly values: Map<string, NewBytes>;
  readonly ended: Promise<void>;
  /** When it has ended, or was lost with its request. */
  readonly until: number;
  /** What is written when it has ended, by name. */
  readonly next: Map<string, NewBytes>;
}

/**
 * Writes what is to be written to a tier in one turn together, and tells it of purges. Of two values of one name the later
 * is written when the one before has been, since either may arrive first.
 */
export class Writer {
  /** The one that takes more. */
  private turn: Turn | undefined = undefined;
  /** Of each name that is being written its last turn. */
  private readonly turns = new Map<string, Turn>();
  /** Until when somebody tells the tier. In a Worker that one may be gone with its request. */
  private toldBy = -Infinity;
  /** The timer after which purges that could not be told are told again. In a Worker it may be gone with its request. */
  private later: unknown = undefined;
  private readonly pending: Pending;

  constructor(
    private readonly host: TierHost,
    private readonly chain: ChainOf,
    private readonly tier: Tier,
    private readonly index: number,
    private readonly timeout: number,
    private readonly cooldown: number,
    private readonly onTierUsed: () => void,
  ) {
    this.pending = new Pending(host);
  }

  /** How long a turn's write takes at the most, from when the turn begins, unless it is lost. */
  private get longest(): number {
    return 2 * this.timeout;
  }

  /** Writes a value soon; resolves when it has been written, or a later one is to be, or neither. */
  write(value: NewBytes): Promise<void> {
    const { name } = value;
    const before = this.turns.get(name);
    if (before === undefined || before === this.turn || this.isOver(name, before)) return this.add(value);
    this.overtake(before.next, value);
    const written = this.writeNext(before, name);
    this.hold(written);
    return written;
  }

  /** Writes what comes after a turn when that has ended, unless another who waited does. */
  private async writeNext(before: Turn, name: string): Promise<void> {
    const { host } = this;
    await within(host, this.longest, () => before.ended);
    const next = before.next.get(name);
    before.next.delete(name);
    if (next !== undefined) return this.add(next);
    const turn = this.turns.get(name);
    if (turn !== undefined) await within(host, this.longest, () => turn.ended);
  }

  private add(value: NewBytes): Promise<void> {
    const { name } = value;
    const turn = (this.turn ??= this.begin());
    this.overtake(turn.values, value);
    // What was lost with its request stands at the beginning.
    for (const [lost, before] of this.turns) {
      if (!this.isOver(lost, before)) break;
      this.turns.delete(lost);
    }
    this.turns.delete(name);
    this.turns.set(name, turn);
    return turn.ended;
  }

  /** Whether nobody need wait for a turn that writes this name, nor for who waits for it. */
  private isOver(name: string, { until, next }: Turn): boolean {
    const { requestBound, now } = this.host;
    return requestBound && until + (next.has(name) ? this.timeout : 0) <= now();
  }

  /** Puts a value where one of the same name may be, which then is not written. */
  private overtake(values: Map<string, NewBytes>, value: NewBytes): void {
    const before = values.get(value.name);
    if (before !== undefined) {
      this.chain.overtaken(this.index, before.bytes.length);
      value.replaces ||= before.replaces;
    }
    values.set(value.name, value);
  }

  private begin(): Turn {
    const { host } = this;
    // Another request may wait for it.
    const { promise: ended, resolve } = deferred<void>();
    const turn = { values: new Map(), ended, until: host.now() + this.longest, next: new Map() };
    const gathered = {
      get length() {
        return turn.values.size;
      },
    };
    host.afterPromiseJobs(() => this.hold(this.run(turn).finally(resolve)), gathered);
    this.hold(ended);
    return turn;
  }

  private async run(turn: Turn): Promise<void> {
    const { host } = this;
    if (this.turn === turn) this.turn = undefined;
    const values = [...turn.values.values()];
    const entries = values.map(({ name, bytes, ttl }) => ({ name, bytes, ttl }));
    const bytes = values.reduce((sum, value) => sum + value.bytes.length, 0);
    const session = new Session(this.tier);
    const { end } = await within(host, this.timeout, () => setMany(session.open(), entries));
    session.close();
    const numbers = Float64Array.from(values.flatMap((value) => [value.began, value.number, Number(value.replaces)]));
    this.chain.written(this.index, host.now(), [...turn.values.keys()], numbers, bytes, end);
    for (const name of turn.values.keys()) {
      // Who comes before the next one has begun is to follow it.
      if (this.turns.get(name) === turn && !turn.next.has(name)) this.turns.delete(name);
    }
    this.onTierUsed();
  }

  /** Tells the tier what was purged, as far as it has not been told. */
  deliver(): void {
    if (this.host.now() < this.toldBy || !this.chain.owes(this.index)) return;
    this.toldBy = this.host.now() + this.longest;
    const told = this.tell().finally(() => {
      this.toldBy = -Infinity;
      this.deliverLater();
    });
    this.pending.add(told, () => this.toldBy);
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
      this.toldBy = host.now() + this.longest;
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
    const until = this.host.now() + 2 * this.longest;
    this.pending.add(promise, () => until);
  }

  /** Resolves when nothing is on its way. */
  async flush(): Promise<void> {
    await this.pending.ended();
  }
}
