// Faults of stores of this machine: disks that are full or can't be written, files that somebody broke, databases that are locked.

import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NearCache } from "nearcache";
import { fileTier, sqliteTier, tiers } from "nearcache/tiers";
import { equal, ok, sleep, test } from "../js/runner.mjs";
import { scratch } from "../js/workerd.mjs";
import { origin } from "./chain.mjs";
import { cost, KEYS, note, TIMEOUT } from "./cost.mjs";

function isolate(tier) {
  const lines = [];
  const chain = tiers([tier], { clockSkew: 0, lateWrites: 0, log: (line) => lines.push(line) });
  return { cache: new NearCache({ ttl: "1m", tiers: chain }), chain, lines };
}

const OPTIONS = { timeout: TIMEOUT, cooldown: 200 };

/**
 * A fault, and its end. `make`: the tier, in a folder of its own; `begin` makes the fault, from when the keys have been stored, and gives what ends it.
 * `lane`: what it is that fails; none where bytes are refused one by one.
 */
function faultTest(fault, { make, begin, lane }) {
  test(`${fault}: answers come, in time; it is told once, and is over with its cause`, async () => {
    const folder = scratch();
    // What is stored before the fault may take its time.
    const fill = isolate(Object.assign(make(folder), { options: { timeout: 10_000 } }));
    await cost(fill, KEYS, origin());
    await fill.chain.flush();
    equal(fill.lines, []);
    const one = isolate(make(folder));
    const end = await begin(folder);
    const load = origin();
    let took;
    try {
      took = await cost(one, [...KEYS.slice(0, 15), ...KEYS.slice(0, 15).map((key) => `new ${key}`)], load);
      await one.chain.flush();
    } finally {
      await end?.();
    }
    const what = `${JSON.stringify(took)} ${one.lines.join("; ")} ${JSON.stringify(one.chain.stats())}`;
    ok(took.worst < TIMEOUT * 1.8 && took.sum < TIMEOUT * 9, what);
    ok(one.lines.length === new Set(one.lines).size && one.lines.length > 0 && one.lines.length < 3, what);
    note(fault, took, one.lines);
    const figures = one.chain.stats()[0];
    if (lane !== undefined) ok(figures[lane] !== "closed", what);
    else equal(figures.refusals + figures.misses, 30, what);
    for (const deadline = Date.now() + 10_000; ;) {
      await sleep(100);
      await one.cache.getOrSet(`after ${Date.now()}`, load);
      await one.chain.flush();
      const { reads, writing } = one.chain.stats()[0];
      if (reads === "closed" && writing === "closed") break;
      ok(Date.now() < deadline, `recovers: ${JSON.stringify(one.chain.stats()[0])}`);
    }
  });
}

const filesOf = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
/** Calls a command, and gives one that undoes it. */
const shell = (command) => void execFileSync("sh", ["-c", command], { stdio: "ignore" });
const files = (folder) => fileTier(join(folder, "cache"), OPTIONS);

faultTest("files cut short", {
  make: files,
  begin: (folder) => filesOf(folder).forEach((file, at) => truncateSync(file, [0, 4, 8, 40][at % 4])),
});
faultTest("files with a bit turned", {
  make: files,
  begin(folder) {
    for (const file of filesOf(folder)) {
      const bytes = readFileSync(file);
      bytes[bytes.length - 1] ^= 1;
      writeFileSync(file, bytes);
    }
  },
  lane: "reads",
});
faultTest("folders in the place of files", {
  make: files,
  begin(folder) {
    const places = filesOf(folder);
    for (const file of places) {
      rmSync(file);
      mkdirSync(file);
    }
    return () => places.forEach((place) => rmSync(place, { recursive: true }));
  },
  lane: "reads",
});
faultTest("a file in the folder's place", {
  make: files,
  begin(folder) {
    const place = join(folder, "cache");
    rmSync(place, { recursive: true });
    writeFileSync(place, "");
    return () => rmSync(place);
  },
  lane: "reads",
});

/** Whether file systems can be mounted here, which containers seldom allow. */
const canMount = (() => {
  const folder = scratch();
  try {
    shell(`mount -t tmpfs -o size=64k tmpfs '${folder}' && umount '${folder}'`);
    return true;
  } catch {
    return false;
  }
})();
if (!canMount) console.log("NOT RUN: full and read-only disks: nothing can be mounted here");
else {
  const disk = (folder) => join(folder, "disk");
  const onDisk = (folder) => {
    mkdirSync(disk(folder), { recursive: true });
    try {
      shell(`mountpoint -q '${disk(folder)}' || mount -t tmpfs -o size=1m tmpfs '${disk(folder)}'`);
    } finally {
      process.prependOnceListener("exit", () => shell(`umount '${disk(folder)}' 2>/dev/null || true`));
    }
    return fileTier(join(disk(folder), "cache"), OPTIONS);
  };
  faultTest("a disk that is full", {
    make: onDisk,
    begin(folder) {
      const filler = join(disk(folder), "filler");
      shell(`cat /dev/zero >'${filler}' 2>/dev/null || true`);
      return () => rmSync(filler);
    },
    lane: "writing",
  });
  faultTest("a disk that can't be written", {
    make: onDisk,
    begin(folder) {
      shell(`mount -o remount,ro '${disk(folder)}'`);
      return () => shell(`mount -o remount,rw '${disk(folder)}'`);
    },
    lane: "writing",
  });
}

const { DatabaseSync } = process.getBuiltinModule?.("node:sqlite") ?? {};
if (DatabaseSync !== undefined) {
  const pathOf = (folder) => join(folder, "cache.db");
  const databases = new Map();
  const make = (folder) => {
    const database = new DatabaseSync(pathOf(folder));
    database.exec("PRAGMA busy_timeout = 10; PRAGMA synchronous = OFF");
    databases.set(folder, database);
    return sqliteTier(database, OPTIONS);
  };
  faultTest("SQLite locked by another", {
    make,
    begin(folder) {
      const other = new DatabaseSync(pathOf(folder));
      other.exec("BEGIN EXCLUSIVE");
      return () => other.close();
    },
    lane: "reads",
  });
  faultTest("SQLite full", {
    make,
    begin(folder) {
      const database = databases.get(folder);
      const { page_count: pages } = database.prepare("PRAGMA page_count").get();
      database.exec(`PRAGMA max_page_count = ${pages}`);
      return () => database.exec(`PRAGMA max_page_count = 1000000`);
    },
    lane: "writing",
  });
  faultTest("SQLite with broken values", {
    make,
    begin: (folder) => databases.get(folder).exec("UPDATE nearcache SET bytes = zeroblob(length(bytes) + 1)"),
    lane: "reads",
  });
  faultTest("SQLite without its table", {
    make,
    begin(folder) {
      databases.get(folder).exec("ALTER TABLE nearcache RENAME TO gone");
      return () => databases.get(folder).exec("ALTER TABLE gone RENAME TO nearcache");
    },
    lane: "reads",
  });
}
