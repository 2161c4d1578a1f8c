// Snapshots in files, with real processes that are killed.

import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { NearCache } from "nearcache";
import { loadSnapshot, saveSnapshot, snapshotFile } from "nearcache/tiers";
import { equal, ok, rejects, test } from "../js/runner.mjs";

const CHILD = fileURLToPath(new URL("snapshot-child.mjs", import.meta.url));

async function inFolder(body) {
  const folder = await mkdtemp(join(tmpdir(), "nearcache-"));
  try {
    await body(join(folder, "cache.snapshot"), folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A process, what it said first, and the next line that it says. */
async function started(file, tag) {
  const child = spawn(process.execPath, [CHILD, file, tag], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const said = async (wanted) => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done || value === wanted) return !done;
    }
  };
  return { child, ended, said, begun: JSON.parse((await lines.next()).value) };
}

test("a process that is told to end saves, and the next one starts warm", () =>
  inFolder(async (file) => {
    const first = await started(file, "a");
    equal(first.begun, { loaded: null, loads: 30_000, first: "7 of a" });
    first.child.kill("SIGTERM");
    await first.ended;
    const second = await started(file, "b");
    equal(second.begun, { loaded: 30_000, loads: 0, first: "7 of a" });
    second.child.kill("SIGKILL");
    await second.ended;
  }));

test("a process that is killed while it saves leaves the old snapshot whole", () =>
  inFolder(async (file, folder) => {
    const first = await started(file, "a");
    ok(await first.said("saved"));
    let halves = 0;
    // Again and again, at other moments of a save.
    for (let turn = 0; turn < 8; turn++) {
      const { child, ended, said, begun } = await started(file, "b");
      equal([begun.loaded, begun.loads], [30_000, 0]);
      ok(await said("saving"));
      await new Promise((resolve) => setTimeout(resolve, turn * 3));
      child.kill("SIGKILL");
      await ended;
      halves = (await readdir(folder)).filter((name) => name.endsWith(".new")).length;
      const cache = new NearCache({ maxEntries: 50_000 });
      equal((await loadSnapshot(cache, snapshotFile(file), { schema: "child" })).entries, 30_000);
      if (turn === 0) {
        first.child.kill("SIGTERM");
        await first.ended;
      }
    }
    ok(halves > 0, "some were killed in the middle of it");
    // What they left goes when it is old.
    const old = new Date(Date.now() - 100_000);
    for (const name of await readdir(folder)) if (name.endsWith(".new")) await utimes(join(folder, name), old, old);
    await saveSnapshot(new NearCache(), snapshotFile(file));
    equal(await readdir(folder), ["cache.snapshot"]);
  }));

test("a file that is broken or cannot be written is told, and nothing is lost", () =>
  inFolder(async (file, folder) => {
    const cache = new NearCache();
    for (let n = 0; n < 5_000; n++) cache.set(`key ${n}`, n);
    const store = snapshotFile(file);
    equal(await loadSnapshot(cache, store), undefined, "there is none");
    const saved = await saveSnapshot(cache, store);
    const bytes = await readFile(file);
    equal([saved.entries, saved.bytes], [5_000, bytes.length]);
    bytes[bytes.length - 100] ^= 1;
    await writeFile(file, bytes);
    const to = new NearCache();
    await rejects(loadSnapshot(to, store), (error) => error.code === "ERR_SNAPSHOT");
    equal(to.size, 0, "all of it is looked at before anything is loaded");
    await rejects(saveSnapshot(cache, snapshotFile(join(folder, "none", "x"))), (error) => error.code === "ENOENT");
    await rejects(loadSnapshot(cache, snapshotFile(folder)), (error) => error.code === "EISDIR");
    equal(cache.size, 5_000);
  }));
