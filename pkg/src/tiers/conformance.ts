// What is wanted of a tier, as checks that its author can run. They need nothing but the language.

import { checkFunction } from "../options/options.js";
import type { Tier } from "./types.js";

/** How a tier is checked. */
export interface ConformanceOptions {
  /** Makes the tier. Called once for all checks; what lies in the store is left alone, but for `clear`. */
  make: () => Tier | PromiseLike<Tier>;
  /** How much later a write may show, in ms: 0, unless the store says otherwise. */
  settle?: number;
  /** The shortest ttl that the store can keep to, in ms; no check waits longer. Without it expiry is not checked. */
  shortestTtl?: number;
}

/** What came of a check. */
export interface CheckResult {
  readonly title: string;
  readonly error?: unknown;
}

/**
 * Checks a tier: what it does, one line for each thing wanted. All are well if none has an `error`.
 *
 * ```ts
 * for (const { title, error } of await testTier({ make: () => myTier() })) console.log(error ?? "ok", title);
 * ```
 */
export async function testTier(options: ConformanceOptions): Promise<CheckResult[]> {
  const tier = await checkFunction("make", options?.make)();
  const run = Math.floor(Math.random() * 2 ** 32).toString(36);
  const results: CheckResult[] = [];
  let number = 0;
  for (const [title, check] of Object.entries(CHECKS)) {
    const prefix = `v:conformance:${run}:${number++}-`;
    try {
      await check(new Subject(tier, options, prefix));
      results.push({ title });
    } catch (error) {
      results.push({ title, error });
    }
  }
  await tier.close?.();
  return results;
}

class Subject {
  constructor(
    readonly tier: Tier,
    readonly options: ConformanceOptions,
    private readonly prefix: string,
  ) {}

  name(of: string): string {
    return this.prefix + of;
  }

  /** Names that all stores must take: of several bytes a letter, with what other systems take for separators, long. */
  get names(): string[] {
    return [
      "a",
      "A",
      "ä/😀",
      "a b",
      "a:b*?[c]",
      "%2F",
      "..",
      "../../a",
      "\\",
      "\"'`$(x)",
      "\u0001\n",
      "x".repeat(400),
    ].map((of) => this.name(of));
  }

  async set(name: string, bytes: Uint8Array, ttl = 3_600_000): Promise<void> {
    await this.tier.set({ name, bytes, ttl });
    await this.settled();
  }

  async settled(): Promise<void> {
    const { settle = 0 } = this.options;
    if (settle > 0) await sleep(settle);
  }

  async gives(name: string, wanted: Uint8Array | undefined, what = "get"): Promise<void> {
    same(await this.tier.get(name), wanted, what);
  }
}

const CHECKS: Record<string, (subject: Subject) => Promise<void>> = {
  "what was never stored is undefined": (subject) => subject.gives(subject.name("nothing"), undefined),

  "bytes come back as they were: none, each of the 256, a megabyte": async (subject) => {
    const large = new Uint8Array(1_000_000).map((_, at) => (at * 31) >> 3);
    for (const bytes of [new Uint8Array(0), Uint8Array.from({ length: 256 }, (_, at) => at), large]) {
      const name = subject.name(`bytes-${bytes.length}`);
      await subject.set(name, bytes);
      await subject.gives(name, bytes, `${bytes.length} bytes`);
    }
  },

  "what the caller does with its bytes later changes nothing": async (subject) => {
    const bytes = Uint8Array.of(1, 2, 3, 4).subarray(1, 3);
    await subject.set(subject.name("own"), bytes);
    bytes.fill(9);
    await subject.gives(subject.name("own"), Uint8Array.of(2, 3));
  },

  "names are told apart, whatever is in them": async (subject) => {
    for (const [at, name] of subject.names.entries()) await subject.set(name, Uint8Array.of(at));
    for (const [at, name] of subject.names.entries())
      await subject.gives(name, Uint8Array.of(at), JSON.stringify(name));
  },

  "the last of two values stays": async (subject) => {
    await subject.set(subject.name("twice"), Uint8Array.of(1));
    await subject.set(subject.name("twice"), Uint8Array.of(2, 2));
    await subject.gives(subject.name("twice"), Uint8Array.of(2, 2));
  },

  "what was deleted is gone; what is not there can be deleted": async (subject) => {
    await subject.set(subject.name("gone"), Uint8Array.of(1));
    await subject.tier.delete(subject.name("gone"));
    await subject.settled();
    await subject.gives(subject.name("gone"), undefined);
    await subject.tier.delete(subject.name("gone"));
  },

  "many names at once come in their order, absent ones and the same one twice among them": async (subject) => {
    const { tier } = subject;
    if (tier.getMany === undefined) return;
    const at = (of: number): string => subject.name(`many-${of}`);
    for (let of = 0; of < 20; of += 2) await tier.set({ name: at(of), bytes: Uint8Array.of(of), ttl: 3_600_000 });
    await subject.settled();
    const names = Array.from({ length: 20 }, (_, of) => at(19 - of)).concat(at(2), at(2));
    const answers = await tier.getMany(names);
    if (answers.length !== names.length)
      throw new Error(`getMany: ${answers.length} answers for ${names.length} names`);
    names.forEach((name, index) => {
      const of = Number(name.slice(name.lastIndexOf("-") + 1));
      same(answers[index], of % 2 === 0 ? Uint8Array.of(of) : undefined, `getMany[${index}]`);
    });
  },

  "many are stored and deleted at once": async (subject) => {
    const { tier } = subject;
    const entries = Array.from({ length: 50 }, (_, of) => ({
      name: subject.name(`all-${of}`),
      bytes: Uint8Array.of(of),
      ttl: 3_600_000,
    }));
    if (tier.setMany !== undefined) await tier.setMany(entries);
    else for (const entry of entries) await tier.set(entry);
    await subject.settled();
    for (const { name, bytes } of entries) await subject.gives(name, bytes, "after setMany");
    const names = entries.slice(0, 25).map(({ name }) => name);
    if (tier.deleteMany !== undefined) await tier.deleteMany(names);
    else for (const name of names) await tier.delete(name);
    await subject.settled();
    for (const [of, { name, bytes }] of entries.entries())
      await subject.gives(name, of < 25 ? undefined : bytes, "after deleteMany");
  },

  "many writers at once leave one of their values whole": async (subject) => {
    const name = subject.name("race");
    const values = Array.from({ length: 20 }, (_, at) => new Uint8Array(20_000).fill(at));
    await Promise.allSettled(values.map((bytes) => subject.tier.set({ name, bytes, ttl: 3_600_000 })));
    await subject.settled();
    const bytes = await subject.tier.get(name);
    if (bytes === undefined || bytes.length !== 20_000 || !bytes.every((byte) => byte === bytes[0])) {
      throw new Error("a value that nobody wrote");
    }
  },

  "a value stays for its ttl, and is gone some time after it": async (subject) => {
    const { shortestTtl } = subject.options;
    if (shortestTtl === undefined) return;
    const [short, long] = [subject.name("short"), subject.name("long")];
    await subject.set(short, Uint8Array.of(1), shortestTtl);
    await subject.set(long, Uint8Array.of(2), shortestTtl * 100);
    await subject.gives(short, Uint8Array.of(1), "before its end");
    await sleep(shortestTtl + 200);
    await subject.gives(short, undefined, "after its end");
    await subject.gives(long, Uint8Array.of(2), "the other");
  },

  "a stream is stored as it comes, and any part of it comes back": async (subject) => {
    const { tier } = subject;
    if (tier.setStream === undefined || tier.getStream === undefined) return;
    const name = subject.name("stream");
    const whole = new Uint8Array(1_000_000).map((_, at) => (at * 31) >> 3);
    await tier.setStream({ name, length: whole.length, ttl: 3_600_000, stream: streamed(whole) });
    await subject.settled();
    for (const [start, end] of [
      [0, whole.length],
      [0, 1],
      [300_000, 700_001],
      [whole.length - 1, whole.length],
    ] as const) {
      const stream = await tier.getStream(name, start, end);
      same(stream && (await read(stream)), whole.subarray(start, end), `bytes ${start} to ${end}`);
    }
    const left = await tier.getStream(name, 0, whole.length);
    await left?.cancel();
    await tier.delete(name);
    await subject.settled();
    if ((await tier.getStream(name, 0, 1)) !== undefined) throw new Error("a stream that was deleted is there");
  },

  "a stream that fails, or has another length, is not stored": async (subject) => {
    const { tier } = subject;
    if (tier.setStream === undefined || tier.getStream === undefined) return;
    for (const [what, length, fails] of [
      ["fails", 200_000, true],
      ["ends early", 200_001, false],
      ["goes on", 199_999, false],
    ] as const) {
      const name = subject.name(`stream-${what.replace(" ", "-")}`);
      const stream = streamed(new Uint8Array(200_000), fails);
      const stored = await Promise.resolve(tier.setStream({ name, length, ttl: 3_600_000, stream })).then(
        () => true,
        () => false,
      );
      await subject.settled();
      if (stored || (await tier.getStream(name, 0, 1)) !== undefined) throw new Error(`one that ${what} is stored`);
    }
  },

  "clear removes what was stored": async (subject) => {
    if (subject.tier.clear === undefined) return;
    await subject.set(subject.name("cleared"), Uint8Array.of(1));
    await subject.tier.clear();
    await subject.settled();
    await subject.gives(subject.name("cleared"), undefined);
    await subject.set(subject.name("cleared"), Uint8Array.of(2));
    await subject.gives(subject.name("cleared"), Uint8Array.of(2), "and then it goes on");
  },
};

/** Bytes in pieces, with an error in the place of the last. */
function streamed(bytes: Uint8Array, fails = false): ReadableStream<Uint8Array> {
  const PIECE = 65_536;
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const piece = bytes.slice(at, at + PIECE);
      at += PIECE;
      if (fails && at >= bytes.length) return controller.error(new Error("the stream fails, as it should"));
      if (piece.length > 0) controller.enqueue(piece);
      else controller.close();
    },
  });
}

async function read(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer());
}

function sleep(millis: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, millis));
}

function same(got: Uint8Array | undefined, wanted: Uint8Array | undefined, what: string): void {
  const isSame =
    got === undefined || wanted === undefined
      ? got === wanted
      : got instanceof Uint8Array && got.length === wanted.length && got.every((byte, at) => byte === wanted[at]);
  if (!isSame) throw new Error(`${what}: got ${show(got)}, wanted ${show(wanted)}`);
}

function show(bytes: Uint8Array | undefined): string {
  if (!(bytes instanceof Uint8Array)) return String(bytes);
  return bytes.length > 8 ? `${bytes.length} bytes` : `[${bytes.join()}]`;
}
