// Snapshots: a whole cache as bytes, and back. The decisions are the core's and the format is the tiers' wasm's.

import { type Insides, INTERNALS } from "../internals.js";
import { describe, duration, optionError, rejectUnknown } from "../options/options.js";
import { checkCodec, JSON_TEXT, Payloads } from "./codec.js";
import { Loading, verify } from "./snapshot-load.js";
import { Saving } from "./snapshot-save.js";
import { type SnapshotSource, type SnapshotStore, type SnapshotTarget, sourceOf, targetOf } from "./snapshot-stores.js";
import { toSecrets } from "./secrets.js";
import type {
  LoadedSnapshot,
  LoadSnapshotOptions,
  SavedSnapshot,
  Settings,
  SnapshotOptions,
  WholeCache,
} from "./snapshot-types.js";

const OPTIONS = new Set(["schema", "codec", "compress", "secrets"]);
const LOAD_OPTIONS = new Set([...OPTIONS, "maxAge"]);

/**
 * Writes all that a cache holds, in chunks of about 128 KiB: values fresh and stale with what is left of their lifetimes, tags, parts, and what
 * the eviction policy knows of them, the most valuable first. The cache may be used meanwhile; what is removed, purged or replaced
 * until the end is not in the snapshot. O(n), in steps.
 *
 * ```ts
 * await saveSnapshot(cache, snapshotFile("cache.snapshot"), { schema: "users 1" });
 * ```
 *
 * @throws {NearCacheError} `ERR_OPTION`; `ERR_SNAPSHOT` if another save of this cache has begun; what the target throws.
 */
export async function saveSnapshot(
  cache: WholeCache,
  target: SnapshotStore | SnapshotTarget,
  options: SnapshotOptions = {},
): Promise<SavedSnapshot> {
  rejectUnknown(options, OPTIONS);
  const store = targetOf(target);
  const saving = new Saving(insidesOf(cache), settingsOf(options), store.maxPieceBytes ?? Infinity);
  await store.write(saving.chunks());
  return saving.result;
}

/** A snapshot as bytes. As {@link saveSnapshot}, for what fits into memory twice. */
export async function snapshotBytes(cache: WholeCache, options: SnapshotOptions = {}): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const write = async (chunks: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const chunk of chunks) parts.push(chunk);
  };
  await saveSnapshot(cache, { write, read: async () => undefined }, options);
  return new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

/**
 * Puts back what a snapshot holds and is still alive; `undefined` if there is none. Nothing that the cache holds goes for it: a key that is there keeps
 * its value, and what has no room is left out, the least valuable.
 *
 * Every chunk is verified before anything of it is loaded. Bytes and files are verified to their end first, and so loaded
 * all or not at all; of a stream, or a tier's chunks, what came before the fault stays: right values, the most valuable ones.
 *
 * @throws {NearCacheError} `ERR_OPTION`; `ERR_SNAPSHOT` for what is no snapshot, broken, of another version, schema, codec or secret, older than
 * `maxAge`, or if another load of this cache has begun; what the source throws.
 */
export async function loadSnapshot(
  cache: WholeCache,
  source: SnapshotStore | SnapshotSource,
  options: LoadSnapshotOptions = {},
): Promise<LoadedSnapshot | undefined> {
  rejectUnknown(options, LOAD_OPTIONS);
  const insides = insidesOf(cache);
  const settings = settingsOf(options);
  const maxAge = duration("maxAge", options.maxAge ?? Infinity);
  const store = sourceOf(source);
  const loading = new Loading(insides, settings, maxAge);
  try {
    let dropped: Uint32Array | undefined;
    if (store.readsAgain) {
      const first = await store.read();
      if (first === undefined) return undefined;
      dropped = await verify(first, settings, insides.entries.clock.read(), maxAge);
    }
    const chunks = await store.read();
    return chunks === undefined ? undefined : await loading.run(chunks, dropped);
  } finally {
    loading.end();
  }
}

function settingsOf({ schema = "", codec, compress = false, secrets }: SnapshotOptions): Settings {
  if (typeof schema !== "string" || schema.length > 1_000) {
    throw optionError("schema", describe(schema), "a string of 1,000 characters at most");
  }
  if (typeof compress !== "boolean") throw optionError("compress", describe(compress), "true or false");
  const payloads = new Payloads(checkCodec(codec), Infinity);
  return { schema, codec: codec?.id ?? JSON_TEXT, payloads, compress, secrets: toSecrets(secrets) };
}

function insidesOf(cache: WholeCache): Insides<any, any> {
  const look = (cache as { [INTERNALS]?: () => Insides<any, any> } | undefined)?.[INTERNALS];
  if (typeof look !== "function") throw optionError("cache", describe(cache), "a NearCache");
  const insides = look.call(cache);
  if (insides.handle.partition !== insides.entries.root) {
    throw optionError("cache", "a namespace or a scope", "the cache itself: a snapshot is of all of it");
  }
  return insides;
}
