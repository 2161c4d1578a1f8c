// The wasm of the tiers lies in the JS.
import bytes from "../../generated/tiers-text.js";
import { initTiers } from "../tiers/wasm.js";

initTiers(() => new WebAssembly.Module(Uint8Array.from(atob(bytes), (char) => char.charCodeAt(0))));

export { FileTier, type FileTierOptions, fileTier } from "../tiers/file.js";
export {
  type SqliteDatabase,
  type SqliteStatement,
  SqliteTier,
  type SqliteTierOptions,
  sqliteTier,
} from "../tiers/sqlite.js";
export * from "../tiers/index.js";
export { snapshotFile } from "../tiers/snapshot-file.js";
