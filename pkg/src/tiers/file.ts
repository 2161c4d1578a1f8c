import { describe, optionError } from "../options/options.js";
import { ofLength } from "../runtime/streams.js";
import { checkOptions } from "./binding.js";
import type { BodyStore, StreamEntry, TierEntry, TierOptions } from "./types.js";

/** How a file tier is made. */
export interface FileTierOptions extends TierOptions {
  name?: string | undefined;
}

type Fs = typeof import("node:fs/promises");
type Crypto = typeof import("node:crypto");

/** When it ends, in milliseconds since 1970, as the first 8 bytes of a file. */
const HEAD = 8;
/** So much of a stream is read at once. */
const CHUNK = 64 * 1024;

/**
 * Files in a folder, one for each name, in 256 folders within: for Node, Deno and Bun. A file is written beside its place and then moved
 * there, so that nobody reads half of one. What has expired is removed by `sweep()`.
 */
export function fileTier(folder: string, options: FileTierOptions = {}): FileTier {
  if (typeof folder !== "string" || folder === "")
    throw optionError("folder", describe(folder), "the path of a folder");
  const { name = "file", ...rest } = checkOptions(options);
  return new FileTier(name, folder, rest);
}

export class FileTier implements BodyStore {
  #modules: Promise<[Fs, Crypto]> | undefined = undefined;
  /** @internal */
  constructor(
    readonly name: string,
    private readonly folder: string,
    readonly options: TierOptions,
  ) {}

  async get(name: string): Promise<Uint8Array | undefined> {
    const { fs, path } = await this.#at(name);
    const bytes = await orUndefined(fs.readFile(path));
    if (bytes === undefined || bytes.length < HEAD) return undefined;
    // Not removed: another may have written the name anew since it was read.
    if (!(ends(bytes) > Date.now())) return undefined;
    return new Uint8Array(bytes.buffer, bytes.byteOffset + HEAD, bytes.length - HEAD);
  }

  async set({ name, bytes, ttl }: TierEntry): Promise<void> {
    await this.#write(name, [head(ttl), bytes]);
  }

  async setStream({ name, length, ttl, stream }: StreamEntry): Promise<void> {
    const whole = ofLength(stream, length);
    await this.#write(
      name,
      (async function* () {
        yield head(ttl);
        yield* chunks(whole);
      })(),
    );
  }

  async getStream(name: string, start: number, end: number): Promise<ReadableStream<Uint8Array> | undefined> {
    const { fs, path } = await this.#at(name);
    const file = await orUndefined(fs.open(path));
    if (file === undefined) return undefined;
    let at = HEAD + start;
    const close = (): Promise<void> => file.close().catch(() => {});
    try {
      const known = new Uint8Array(HEAD);
      const { bytesRead } = await file.read(known, 0, HEAD, 0);
      if (bytesRead < HEAD || !(ends(known) > Date.now())) {
        await close();
        return undefined;
      }
    } catch (error) {
      await close();
      throw error;
    }
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const left = HEAD + end - at;
          const chunk = new Uint8Array(Math.min(left, CHUNK));
          let bytesRead = 0;
          try {
            if (left > 0) ({ bytesRead } = await file.read(chunk, 0, chunk.length, at));
          } catch (error) {
            await close();
            throw error;
          }
          at += bytesRead;
          if (bytesRead > 0) return controller.enqueue(chunk.subarray(0, bytesRead));
          await close();
          controller.close();
        },
        cancel: close,
      },
      { highWaterMark: 0 },
    );
  }

  async #write(name: string, bytes: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    const { fs, path, folder } = await this.#at(name);
    await fs.mkdir(folder, { recursive: true });
    const beside = await this.#beside(path);
    try {
      await fs.writeFile(beside, bytes);
      await fs.rename(beside, path);
    } catch (error) {
      await orUndefined(fs.rm(beside));
      throw error;
    }
  }

  async delete(name: string): Promise<void> {
    const { fs, path } = await this.#at(name);
    await fs.rm(path, { force: true });
  }

  /** Removes the folder's files, and what else lies in its 256 folders. */
  async clear(): Promise<void> {
    const [fs] = await this.#load();
    for (const one of await this.#folders(fs)) await fs.rm(one, { recursive: true, force: true });
  }

  /** Removes what has expired, and what a process left that died while it wrote. O(files). */
  async sweep(): Promise<number> {
    const [fs] = await this.#load();
    let removed = 0;
    for (const folder of await this.#folders(fs)) {
      for (const file of (await orUndefined(fs.readdir(folder))) ?? []) {
        const path = `${folder}/${file}`;
        const isRemoved = file.endsWith(".new")
          ? (await isOld(fs, path)) && (await orUndefined(fs.unlink(path).then(() => true)))
          : (await hasExpired(fs, path)) && (await this.#removeExpired(fs, path));
        if (isRemoved) removed++;
      }
    }
    return removed;
  }

  /** Removes what has expired, unless it was written anew meanwhile. */
  async #removeExpired(fs: Fs, path: string): Promise<boolean> {
    const aside = await this.#beside(path);
    await orUndefined(fs.rename(path, aside));
    const isExpired = await hasExpired(fs, aside);
    // Back where it was, unless a newer one lies there by now.
    if (!isExpired) await fs.link(aside, path).catch(() => {});
    await orUndefined(fs.rm(aside));
    return isExpired;
  }

  /** A name of its own for each write, though the folder may be that of several threads, processes and containers. */
  async #beside(path: string): Promise<string> {
    const [, { randomUUID }] = await this.#load();
    return `${path}.${randomUUID()}.new`;
  }

  async #folders(fs: Fs): Promise<string[]> {
    const all = (await orUndefined(fs.readdir(this.folder))) ?? [];
    return all.filter((name) => /^[0-9a-f]{2}$/.test(name)).map((name) => `${this.folder}/${name}`);
  }

  async #at(name: string): Promise<{ fs: Fs; path: string; folder: string }> {
    const [fs, { createHash }] = await this.#load();
    // The name itself is in the envelope; a file's may have no slash, no case and 255 bytes.
    const hash = createHash("sha256").update(name).digest("hex");
    const folder = `${this.folder}/${hash.slice(0, 2)}`;
    return { fs, folder, path: `${folder}/${hash.slice(2)}` };
  }

  #load(): Promise<[Fs, Crypto]> {
    return (this.#modules ??= Promise.all([import("node:fs/promises"), import("node:crypto")]));
  }
}

function head(ttl: number): Uint8Array {
  const bytes = new Uint8Array(HEAD);
  new DataView(bytes.buffer).setFloat64(0, Date.now() + ttl, true);
  return bytes;
}

async function* chunks(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
  } finally {
    // Where the disk fails its source is not to go on.
    reader.cancel().catch(() => {});
  }
}

function ends(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, HEAD).getFloat64(0, true);
}

async function hasExpired(fs: Fs, path: string): Promise<boolean> {
  const file = await orUndefined(fs.open(path));
  if (file === undefined) return false;
  try {
    const head = new Uint8Array(HEAD);
    const { bytesRead } = await file.read(head, 0, HEAD, 0);
    return bytesRead < HEAD || !(ends(head) > Date.now());
  } finally {
    await file.close();
  }
}

async function isOld(fs: Fs, path: string): Promise<boolean> {
  const known = await orUndefined(fs.stat(path));
  return known !== undefined && Date.now() - known.mtimeMs > 60_000;
}

/** What isn't there is no failure; anything else is. */
async function orUndefined<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
