// Why a snapshot is not written or not loaded.

import { NearCacheError } from "../options/errors.js";

export function superseded(what: string): NearCacheError {
  return refused(`another ${what} of this cache has begun meanwhile; one at a time is allowed`);
}

export function lostCore(what: string): NearCacheError {
  return refused(`the cache's wasm failed during the ${what}, and what it held is gone`);
}

export function refused(message: string): NearCacheError {
  return new NearCacheError("ERR_SNAPSHOT", message);
}
