import { checkFunction, describe, optionError } from "../options/options.js";
import { checkOptions } from "./binding.js";
import type { Tier, TierEntry, TierOptions } from "./types.js";

/** A database of node:sqlite (`DatabaseSync`), better-sqlite3 or bun:sqlite, as far as it is used. */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
}

/** A prepared statement, as far as it is used. */
export interface SqliteStatement {
  get(...parameters: any[]): any;
  run(...parameters: any[]): { changes: number | bigint };
}

/** How a tier of SQLite is made. */
export interface SqliteTierOptions extends TierOptions {
  name?: string | undefined;
  /** The table, which is made if there is none. Letters, digits and `_`. Default `"nearcache"`. */
  table?: string | undefined;
}

/** With what is written goes what has expired: so many rows for each row, and some. */
const SWEPT = 2;

/**
 * SQLite, by a database that is open already, and stays its owner's: for processes of one machine. Calls are synchronous, so that
 * a slow disk holds the whole program, whatever `timeout` says; `PRAGMA journal_mode = WAL` lets others read meanwhile.
 * Rows that have expired go as others are written, and by `sweep()`; what bounds the file is `PRAGMA max_page_count`.
 *
 * ```ts
 * import { DatabaseSync } from "node:sqlite";
 * const tier = sqliteTier(new DatabaseSync("cache.db"));
 * ```
 *
 * @throws {NearCacheError} `ERR_OPTION`, and what the database throws
 */
export function sqliteTier(database: SqliteDatabase, options: SqliteTierOptions = {}): SqliteTier {
  const { name = "sqlite", table = "nearcache", ...rest } = checkOptions(options);
  checkFunction("database.exec", database?.exec);
  checkFunction("database.prepare", database.prepare);
  if (!/^[A-Za-z_]\w{0,63}$/.test(table))
    throw optionError("table", describe(table), "letters, digits and _, 64 at the most");
  return new SqliteTier(name, database, table, rest);
}

export class SqliteTier implements Tier {
  readonly #get: SqliteStatement;
  readonly #set: SqliteStatement;
  readonly #delete: SqliteStatement;
  readonly #clear: SqliteStatement;
  readonly #sweep: SqliteStatement;

  /** @internal */
  constructor(
    readonly name: string,
    private readonly database: SqliteDatabase,
    table: string,
    readonly options: TierOptions,
  ) {
    database.exec(
      `CREATE TABLE IF NOT EXISTS ${table} (name TEXT PRIMARY KEY, bytes BLOB, until INTEGER NOT NULL) WITHOUT ROWID`,
    );
    database.exec(`CREATE INDEX IF NOT EXISTS ${table}_until ON ${table} (until)`);
    this.#get = database.prepare(`SELECT bytes FROM ${table} WHERE name = ? AND until > ?`);
    this.#set = database.prepare(`INSERT OR REPLACE INTO ${table} VALUES (?, ?, ?)`);
    this.#delete = database.prepare(`DELETE FROM ${table} WHERE name = ?`);
    this.#clear = database.prepare(`DELETE FROM ${table}`);
    const expired = `SELECT name FROM ${table} WHERE until <= ? LIMIT ?`;
    this.#sweep = database.prepare(`DELETE FROM ${table} WHERE name IN (${expired})`);
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    const row = this.#get.get(name, Date.now());
    // Some bind no bytes at all as NULL.
    return row === undefined || row === null ? undefined : new Uint8Array(row.bytes ?? 0);
  }

  async getMany(names: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    return Promise.all(names.map((name) => this.get(name)));
  }

  async set(entry: TierEntry): Promise<void> {
    await this.setMany([entry]);
  }

  async setMany(entries: readonly TierEntry[]): Promise<void> {
    const now = Date.now();
    this.#together(() => {
      this.#sweep.run(now, SWEPT * (entries.length + 5));
      for (const { name, bytes, ttl } of entries) {
        // better-sqlite3 takes no other bytes than a Buffer's; whole milliseconds that a number can hold.
        const until = Math.min(Math.ceil(now + ttl), Number.MAX_SAFE_INTEGER);
        this.#set.run(name, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), until);
      }
    });
  }

  async delete(name: string): Promise<void> {
    this.#delete.run(name);
  }

  async deleteMany(names: readonly string[]): Promise<void> {
    this.#together(() => names.forEach((name) => this.#delete.run(name)));
  }

  async clear(): Promise<void> {
    this.#clear.run();
  }

  /** Removes what has expired; how many rows that were. */
  async sweep(): Promise<number> {
    return Number(this.#sweep.run(Date.now(), -1).changes);
  }

  /** All or none. Where the owner has begun a transaction, it is part of that. */
  #together(calls: () => void): void {
    try {
      this.database.exec("SAVEPOINT nearcache");
      calls();
      this.database.exec("RELEASE nearcache");
    } catch (error) {
      try {
        this.database.exec("ROLLBACK TO nearcache; RELEASE nearcache");
      } catch {
        // SQLite has rolled back already, as it does where the disk is full.
      }
      throw error;
    }
  }
}
