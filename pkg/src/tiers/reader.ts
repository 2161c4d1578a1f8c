import type { TierHost } from "../types/tiering.js";
import { ERROR, getMany, Session, within, WELL } from "./calls.js";
import type { Tier, TierEntry } from "./types.js";
import { type ChainOf, type Found, Read, type ReadOf } from "./wasm.js";

/** A key that is asked for. */
export interface ReadRequest {
  readonly place: string;
  readonly key: string;
  /** Whether a stale value is there already. */
  readonly refresh: boolean;
}

/** What the tiers have of a key. */
export interface TierValue {
  readonly found: Found;
  /** The bytes of its payload. */
  readonly payload: Uint8Array;
  /** Its lifetimes, and its weight. */
  readonly ttl: number;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
  readonly bytes: number;
}

/** What a read came to. */
export interface ReadResult {
  readonly held: TierValue | undefined;
  /** Whether all tiers that were wanted have answered. */
  readonly whole: boolean;
}

interface Group {
  readonly asked: ReadRequest[];
  readonly ended: Promise<(item: number) => ReadResult>;
}

/** Reads keys that are asked for in one turn together, tier by tier. */
export class Reader {
  /** By whether stale values are an answer. */
  private readonly open: [Group | undefined, Group | undefined] = [undefined, undefined];

  constructor(
    private readonly host: TierHost,
    private readonly chain: ChainOf,
    private readonly tiers: readonly Tier[],
    private readonly promote: (tier: number, entry: TierEntry, began: number) => void,
    private readonly onTierUsed: () => void,
  ) {}

  /** What the tiers have of a key. Never rejects. */
  async read(asked: ReadRequest): Promise<ReadResult> {
    const at = asked.refresh ? 1 : 0;
    const group = (this.open[at] ??= this.begin(at));
    const item = group.asked.push(asked) - 1;
    return (await group.ended)(item);
  }

  private begin(at: 0 | 1): Group {
    const asked: ReadRequest[] = [];
    // All of one request's promise jobs run before another's code, so that a group has one request's keys.
    const ended = new Promise<void>((resolve) => this.host.afterPromiseJobs(resolve, asked)).then(() => {
      this.open[at] = undefined;
      return this.run(asked, at === 1);
    });
    return { asked, ended };
  }

  private async run(asked: readonly ReadRequest[], refresh: boolean): Promise<(item: number) => ReadResult> {
    const { host, chain, tiers } = this;
    const places = asked.map(({ place }) => place);
    const read = new Read(
      places,
      asked.map(({ key }) => key),
      refresh,
    );
    const brought: Map<string, Uint8Array>[] = tiers.map(() => new Map());
    const sessions = tiers.map((tier) => new Session(tier));
    for (;;) {
      const step = read.poll(chain, host.now());
      if (step === undefined) break;
      const { tier, names, timeout } = step;
      step.free();
      const ended = await within(host, timeout, () => getMany(sessions[tier]!.open(), names));
      const now = host.now();
      const answers = ended.end === WELL ? toBytes(ended.value) : undefined;
      if (answers === undefined) {
        read.failed(chain, now, ended.end === WELL ? ERROR : ended.end);
      } else {
        read.answers(chain, now, answers);
        names.forEach((name, index) => {
          const bytes = answers[index];
          if (bytes !== undefined) brought[tier]!.set(name, bytes);
        });
      }
      this.onTierUsed();
    }
    for (const session of sessions) session.close();
    this.copyUpwards(read, brought);
    return (item) => ({ held: this.held(read, brought, item), whole: read.is_whole() });
  }

  private copyUpwards(read: ReadOf, brought: readonly Map<string, Uint8Array>[]): void {
    const { host, chain } = this;
    const now = host.now();
    const numbers = read.promotions(chain, now);
    for (let at = 0; at < numbers.length; at += 4) {
      const [item, tier, ttl] = numbers.subarray(at, at + 4) as unknown as [number, number, number];
      const name = read.name(item)!;
      const found = read.found(chain, now, item);
      const bytes = found === undefined ? undefined : brought[found.tier()]!.get(name);
      const began = found?.generation() ?? now;
      found?.free();
      this.promote(tier, { name, bytes: bytes ?? new Uint8Array(0), ttl }, began);
    }
  }

  private held(read: ReadOf, brought: readonly Map<string, Uint8Array>[], item: number): TierValue | undefined {
    const found = read.found(this.chain, this.host.now(), item);
    if (found === undefined) return undefined;
    const bytes = brought[found.tier()]!.get(read.name(item)!)!;
    const [start, end, ttl, staleWhileRevalidate, staleIfError, weight] = found.numbers() as unknown as number[];
    return {
      found,
      payload: bytes.subarray(start, end),
      ttl: ttl!,
      staleWhileRevalidate: staleWhileRevalidate!,
      staleIfError: staleIfError!,
      bytes: weight!,
    };
  }
}

/** What a tier brought, where anything but bytes is nothing; nothing at all if it is no list. What a tier makes is not to be trusted. */
function toBytes(answers: unknown): (Uint8Array | undefined)[] | undefined {
  try {
    if (!Array.isArray(answers)) return undefined;
    // A proxy of bytes is an instance of them, but no view.
    return Array.from(answers, (bytes) =>
      ArrayBuffer.isView(bytes) && bytes instanceof Uint8Array ? bytes : undefined,
    );
  } catch {
    return undefined;
  }
}
