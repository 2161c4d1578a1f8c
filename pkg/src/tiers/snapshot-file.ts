import { describe, optionError } from "../options/options.js";
import type { SnapshotStore } from "./snapshot-stores.js";

type Fs = typeof import("node:fs/promises");
type Path = typeof import("node:path");

const PIECE = 256 * 1024;
/** What a process left that died while it wrote is removed after so many milliseconds. */
const OLD = 60_000;
let written = 0;

/**
 * A snapshot in a file: for Node, Deno and Bun. It is written beside its place, flushed to the disk, and moved there, so that a process that dies meanwhile
 * leaves the old one whole. The folder has to be there.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function snapshotFile(path: string): SnapshotStore {
  if (typeof path !== "string" || path === "") throw optionError("path", describe(path), "the path of a file");
  return { readsAgain: true, read: () => read(path), write: (chunks) => write(path, chunks) };
}

async function write(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const fs = await import("node:fs/promises");
  const beside = `${path}.${process.pid}.${written++}.new`;
  try {
    const file = await fs.open(beside, "w");
    try {
      for await (const chunk of chunks) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await fs.rename(beside, path);
  } catch (error) {
    await fs.rm(beside, { force: true });
    throw error;
  }
  await sweep(fs, await import("node:path"), path).catch(() => {});
}

async function read(path: string): Promise<AsyncIterable<Uint8Array> | undefined> {
  const fs = await import("node:fs/promises");
  try {
    return piecesOf(await fs.open(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function* piecesOf(file: Awaited<ReturnType<Fs["open"]>>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    const piece = new Uint8Array(PIECE);
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, PIECE);
      if (bytesRead === 0) return;
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

async function sweep(fs: Fs, { basename, dirname, join }: Path, path: string): Promise<void> {
  const [folder, name] = [dirname(path), `${basename(path)}.`];
  for (const other of await fs.readdir(folder)) {
    if (!other.startsWith(name) || !/^\d+\.\d+\.new$/.test(other.slice(name.length))) continue;
    const { mtimeMs } = await fs.stat(join(folder, other));
    if (Date.now() - mtimeMs > OLD) await fs.rm(join(folder, other), { force: true });
  }
}
