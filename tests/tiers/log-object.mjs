// A log of purges whose object is in this process, over a real SQLite, and does as it is told.

import { DatabaseSync } from "node:sqlite";
import { purgeLogObject } from "nearcache/tiers";
import { sleep } from "../js/runner.mjs";

/** As much of a Durable Object as a log needs, over a real SQLite. */
export function storage() {
  const db = new DatabaseSync(":memory:");
  return {
    sql: {
      exec(query, ...bindings) {
        const statement = db.prepare(query);
        const rows = statement.all(...bindings);
        return { toArray: () => rows };
      },
    },
    transactionSync(run) {
      db.exec("BEGIN");
      try {
        const result = run();
        db.exec("COMMIT");
        return result;
      } catch (error) {
        db.exec("ROLLBACK");
        throw error;
      }
    },
  };
}

const BASE = class {
  constructor(ctx) {
    this.ctx = ctx;
  }
};

/** A namespace whose one object is `world.object`; `world.fails` and `world.delay` are its network. */
export function place(bounds) {
  const LogObject = purgeLogObject(BASE, bounds);
  const kept = storage();
  const world = { object: undefined, fails: false, delay: 0, reads: 0 };
  world.restart = (from = kept) => (world.object = new LogObject({ storage: from }, {}));
  world.restart();
  const call =
    (method) =>
    async (...args) => {
      if (method === "read") world.reads++;
      if (world.delay > 0) await sleep(world.delay);
      if (world.fails) throw new Error("no object");
      return structuredClone(await world.object[method](...args));
    };
  const stub = { publish: call("publish"), read: call("read") };
  world.namespace = { idFromName: (name) => name, get: () => stub };
  return world;
}
