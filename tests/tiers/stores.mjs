// Each ready-made tier by the suite that is exported for everyone's own, and what is particular to each.

import { mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  cacheApiTier,
  fileTier,
  kvTier,
  memoryTier,
  objectLease,
  objectTier,
  purgeLog,
  r2Tier,
  redisTier,
  sqliteTier,
  withMarks,
} from "nearcache/tiers";
import { testTier } from "nearcache/tiers/conformance";
import { equal, ok, rejects, sleep, test, throws } from "../js/runner.mjs";
import { scratch } from "../js/workerd.mjs";

const CHECKS = 13;

/** A test of a tier, which fails with what it does not do. */
export function conforms(title, options) {
  test(`${title} does what is wanted of a tier`, async () => {
    const results = await testTier(options);
    const failed = results.filter(({ error }) => error !== undefined);
    ok(failed.length === 0, failed.map(({ title, error }) => `${title}: ${error.message}`).join("; "));
    equal(results.length, CHECKS);
  });
}

test("a tier handed to the checks in the place of what makes it is an error that names the option", async () => {
  await rejects(testTier(memoryTier()), { code: "ERR_OPTION", message: "make: got undefined, wants a function" });
});

conforms("memory", { make: () => memoryTier(), shortestTtl: 50 });
conforms("a folder of files", { make: () => fileTier(scratch()), shortestTtl: 100 });

conforms("memory with its marks elsewhere", { make: () => withMarks(memoryTier(), memoryTier()), shortestTtl: 50 });

/** From Node 22.5 on. */
const { DatabaseSync } = process.getBuiltinModule?.("node:sqlite") ?? {};
const openDatabase = (path = join(scratch(), "cache.db")) => new DatabaseSync(path);
if (DatabaseSync === undefined) console.log("NOT RUN: node:sqlite is missing");
else {
  conforms("SQLite", { make: () => sqliteTier(openDatabase()), shortestTtl: 300 });

  test("rows that have expired go as others are written, or are swept", async () => {
    const database = openDatabase();
    const tier = sqliteTier(database, { table: "rows" });
    const rows = () => database.prepare("SELECT count(*) AS count FROM rows").get().count;
    const entry = (at, ttl) => ({ name: `n${at}`, bytes: Uint8Array.of(at), ttl });
    await tier.setMany(Array.from({ length: 100 }, (_, at) => entry(at, 0)));
    await sleep(2);
    await tier.setMany(Array.from({ length: 10 }, (_, at) => entry(at + 100, 60_000)));
    equal(rows(), 80);
    equal(await tier.sweep(), 70);
    equal(await tier.get("n105"), Uint8Array.of(105));
  });

  test("what can't all be written to SQLite is not written at all, also within its owner's transaction", async () => {
    const database = openDatabase();
    const tier = sqliteTier(database);
    const entry = (name, bytes) => ({ name, bytes, ttl: 60_000 });
    const broken = () => tier.setMany([entry("a", Uint8Array.of(1)), entry(Symbol(), Uint8Array.of(2))]);
    await rejects(broken);
    equal(await tier.get("a"), undefined);
    database.exec("BEGIN");
    await tier.set(entry("b", Uint8Array.of(3)));
    await rejects(broken);
    database.exec("COMMIT");
    equal([await tier.get("a"), await tier.get("b")], [undefined, Uint8Array.of(3)]);
  });

  test("what is no database, or no table's name, is refused", () => {
    for (const database of [undefined, {}, { exec() {} }]) throws(() => sqliteTier(database), { code: "ERR_OPTION" });
    for (const table of ["", "a b", "x;y", 7])
      throws(() => sqliteTier(openDatabase(), { table }), { code: "ERR_OPTION" });
  });
}

test("the suite finds what a tier does wrong", async () => {
  const held = new Map();
  const breakages = {
    "keeps what it was handed": (tier) => ({
      ...tier,
      set: async ({ name, bytes }) => void held.set(name, bytes),
      get: async (name) => held.get(name),
    }),
    "forgets empty values": (tier) => ({
      ...tier,
      get: async (name) => ((await tier.get(name))?.length ? tier.get(name) : undefined),
    }),
    "folds case": (tier) => ({
      ...tier,
      get: (name) => tier.get(name.toLowerCase()),
      set: (entry) => tier.set({ ...entry, name: entry.name.toLowerCase() }),
      delete: (name) => tier.delete(name.toLowerCase()),
    }),
    "never deletes": (tier) => ({ ...tier, delete: async () => {} }),
    "never expires": (tier) => ({ ...tier, set: (entry) => tier.set({ ...entry, ttl: 1e9 }) }),
    "drops repeated names": (tier) => ({
      ...tier,
      getMany: (names) => Promise.all([...new Set(names)].map((name) => tier.get(name))),
    }),
  };
  for (const [what, breaks] of Object.entries(breakages)) {
    const inner = memoryTier();
    const plain = {
      name: "t",
      get: (name) => inner.get(name),
      set: (entry) => inner.set(entry),
      delete: (name) => inner.delete(name),
    };
    const results = await testTier({ make: () => breaks(plain), shortestTtl: 30 });
    ok(
      results.some(({ error }) => error !== undefined),
      what,
    );
  }
});

test("memory is bounded, and lets go of the oldest", async () => {
  const tier = memoryTier({ maxBytes: 1_000 });
  for (let at = 0; at < 100; at++) await tier.set({ name: `n${at}`, bytes: new Uint8Array(97), ttl: 1_000 });
  equal(tier.size, 10);
  equal(await tier.get("n0"), undefined);
  equal((await tier.get("n99")).length, 97);
  await tier.set({ name: "large", bytes: new Uint8Array(1_000), ttl: 1_000 });
  equal(await tier.get("large"), undefined);
});

test("files that have expired, or that a dead writer left, are swept", async () => {
  const folder = scratch();
  const tier = fileTier(folder);
  await tier.set({ name: "dead", bytes: Uint8Array.of(1), ttl: 0 });
  await tier.set({ name: "live", bytes: Uint8Array.of(2), ttl: 100_000 });
  await mkdir(join(folder, "00"), { recursive: true });
  const left = join(folder, "00", "abc.1.0.new");
  await writeFile(left, "half of");
  equal(await tier.sweep(), 1);
  await utimes(left, 0, 0);
  equal(await tier.sweep(), 1);
  equal((await tier.get("live")).length, 1);
  const files = await Promise.all((await readdir(folder)).map((name) => readdir(join(folder, name))));
  equal(files.flat().length, 1);
});

test("what two sweeps at once remove is counted once", async () => {
  const folder = scratch();
  const tier = fileTier(folder);
  await mkdir(join(folder, "00"), { recursive: true });
  for (let at = 0; at < 20; at++) {
    const left = join(folder, "00", `${at}.new`);
    await writeFile(left, "half of");
    await utimes(left, 0, 0);
    await tier.set({ name: `over ${at}`, bytes: new Uint8Array(1), ttl: 0 });
  }
  const [one, other] = await Promise.all([tier.sweep(), tier.sweep()]);
  equal(one + other, 40);
});

test("files are whole, and none fails, though several write one name at once", async () => {
  const folder = scratch();
  const all = [1, 2, 3].map((number) => ({ tier: fileTier(folder), bytes: new Uint8Array(500_000).fill(number) }));
  for (let turn = 0; turn < 20; turn++) {
    await Promise.all(all.map(({ tier, bytes }) => tier.set({ name: "k", bytes, ttl: 60_000 })));
    const got = await all[0].tier.get("k");
    ok(got.length === 500_000 && got.every((byte) => byte === got[0]));
  }
});

test("what is written anew stays, though another just reads or sweeps the one that has expired", async () => {
  const folder = scratch();
  const [reader, writer] = [fileTier(folder), fileTier(folder)];
  for (let turn = 0; turn < 100; turn++) {
    const name = `k:::${turn}`;
    await reader.set({ name, bytes: new Uint8Array(4), ttl: 0 });
    const written = writer.set({ name, bytes: new Uint8Array(4), ttl: 60_000 });
    await Promise.all([turn % 10 === 0 ? reader.sweep() : reader.get(name), written]);
    ok((await reader.get(name)) !== undefined, `turn ${turn}`);
  }
});

test("a client that is none is refused", () => {
  for (const client of [undefined, {}, "redis://"]) throws(() => redisTier(client), { code: "ERR_OPTION" });
});

test("a binding that is missing is told where its tier is made, with what to look at", () => {
  const missing = [
    [kvTier, "namespace: got undefined, wants a KV namespace"],
    [r2Tier, "bucket: got undefined, wants an R2 bucket"],
    ...[objectTier, objectLease, purgeLog].map((make) => [
      make,
      "namespace: got undefined, wants a namespace of Durable Objects",
    ]),
  ];
  for (const [make, told] of missing) {
    const message = `${told}; is there a binding of this name in wrangler's configuration?`;
    throws(() => make(undefined), { code: "ERR_OPTION", message });
  }
  throws(() => cacheApiTier(), { code: "ERR_OPTION", message: "cache.match: got undefined, wants a function" });
  throws(() => fileTier(), { code: "ERR_OPTION", message: "folder: got undefined, wants the path of a folder" });
});
