import { type Duration, duration } from "../options/options.js";
import { checkOptions, checkTier } from "./binding.js";
import { all, deleteMany, getMany, Session, setMany } from "./calls.js";
import { isMark } from "./names.js";
import type { Tier, TierEntry, TierOptions } from "./types.js";

/** How a tier with its marks elsewhere is made. */
export interface WithMarksOptions extends TierOptions {
  name?: string | undefined;
  /**
   * So long a mark that was read, or that there was none, is believed in this process: others' purges count here so much later. Default 0:
   * marks are asked for with each read.
   */
  keep?: Duration | undefined;
}

/**
 * A store of values whose marks of purges lie in another: values in Workers KV, R2 or the Cache API, and marks in a Durable Object or
 * Redis. There a purge counts everywhere at once, which it does not where marks are as late as values; and a read costs one call for
 * a value and one for all of its marks.
 *
 * ```ts
 * const chain = tiers([withMarks(kvTier(env.KV), objectTier(env.STORE), { keep: "5s" })]);
 * ```
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function withMarks(values: Tier, marks: Tier, options: WithMarksOptions = {}): Tier {
  checkTier("values", values);
  checkTier("marks", marks);
  const { name = values.name, keep = 0, ...rest } = checkOptions(options);
  const kept = new KeptMarks(duration("keep", keep));
  return new TierWithMarks(name, values, marks, kept, { timeout: 1_500, ...values.options, ...rest });
}

/** At most so many marks are kept; each has a name of some 500 bytes at the most. */
const MOST_KEPT = 10_000;

/** What was read of marks, for a while. */
class KeptMarks {
  readonly #kept = new Map<string, { readonly bytes: Uint8Array | undefined; readonly until: number }>();

  constructor(private readonly millis: number) {}

  get(name: string): { readonly bytes: Uint8Array | undefined } | undefined {
    const kept = this.#kept.get(name);
    return kept !== undefined && kept.until > Date.now() ? kept : undefined;
  }

  /** `asked`: when it was asked for. */
  set(name: string, bytes: Uint8Array | undefined, asked: number): void {
    if (this.millis === 0) return;
    // Those that were read last are at the end.
    this.#kept.delete(name);
    this.#kept.set(name, { bytes, until: asked + this.millis });
    if (this.#kept.size > MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
  }

  delete(name: string): void {
    this.#kept.delete(name);
  }
}

function isValue(name: string): boolean {
  return !isMark(name);
}

class TierWithMarks implements Tier {
  /** Only where both can. */
  readonly clear?: () => Promise<void>;

  constructor(
    readonly name: string,
    private readonly values: Tier,
    private readonly marks: Tier,
    private readonly kept: KeptMarks,
    readonly options?: TierOptions,
  ) {
    if (values.clear !== undefined && marks.clear !== undefined) {
      this.clear = async () => void (await Promise.all([values.clear?.(), marks.clear?.()]));
    }
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    return (await this.getMany([name]))[0];
  }

  async getMany(names: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    const found = new Map<string, Uint8Array | undefined>();
    const unknown: string[] = [];
    for (const name of new Set(names)) {
      const kept = isValue(name) ? undefined : this.kept.get(name);
      if (kept === undefined) unknown.push(name);
      else found.set(name, kept.bytes);
    }
    const asked = Date.now();
    await this.#spread(unknown, isValue, async (tier, some) => {
      const answers = await getMany(tier, some);
      some.forEach((name, at) => {
        found.set(name, answers[at]);
        if (tier === this.marks) this.kept.set(name, answers[at], asked);
      });
    });
    return names.map((name) => found.get(name));
  }

  async set(entry: TierEntry): Promise<void> {
    await this.setMany([entry]);
  }

  async setMany(entries: readonly TierEntry[]): Promise<void> {
    for (const { name } of entries) this.kept.delete(name);
    await this.#spread(entries, ({ name }) => isValue(name), setMany);
  }

  async delete(name: string): Promise<void> {
    await this.deleteMany([name]);
  }

  async deleteMany(names: readonly string[]): Promise<void> {
    for (const name of names) this.kept.delete(name);
    await this.#spread(names, isValue, deleteMany);
  }

  session(): Tier {
    const [values, marks] = [new Session(this.values), new Session(this.marks)];
    const tier = new TierWithMarks(this.name, values.open(), marks.open(), this.kept);
    return Object.assign(tier, {
      close: async () => {
        values.close();
        marks.close();
      },
    });
  }

  async close(): Promise<void> {
    await Promise.all([this.values.close?.(), this.marks.close?.()]);
  }

  /** Calls the store of each with those that belong there. */
  async #spread<T>(
    items: readonly T[],
    isOfValues: (item: T) => boolean,
    call: (tier: Tier, some: T[]) => PromiseLike<unknown>,
  ): Promise<void> {
    const calls = ([this.values, this.marks] as const).map((tier) => {
      const some = items.filter((item) => isOfValues(item) === (tier === this.values));
      return some.length > 0 ? call(tier, some) : undefined;
    });
    await all(calls);
  }
}
