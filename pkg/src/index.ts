// What "nearcache" exports.

export { advise, NearCache, prometheus } from "./cache.js";
export { DataLoader } from "./batches/dataloader.js";
export { NearCacheError, type NearCacheErrorCode } from "./options/errors.js";
export type { Compute } from "./writes/computes.js";
export type { Stats } from "./types/stats.js";
export type { BreakerState, TierStats } from "./types/stats.js";
export type { Tiers } from "./types/tiering.js";
export type { Events, KeyEvent, Place, Plugin } from "./hooks/events.js";
export type { LoadContext, Loaded, Loader } from "./types/loader.js";
export type { Duration } from "./options/options.js";
export type {
  Advice,
  BatchOptions,
  CachedOptions,
  CacheLike,
  Check,
  ComputeOptions,
  DefaultOptions,
  DetailedOptions,
  Details,
  EntryInfo,
  ErrorBackoff,
  GetOrSetOptions,
  Health,
  HealthOptions,
  KeepFresh,
  KeepFreshOptions,
  LifeOptions,
  NamespaceOptions,
  NearCacheOptions,
  PeekOptions,
  Retry,
  RetryOptions,
  SetOptions,
  Status,
  Thresholds,
  UpdateOptions,
  WalkOptions,
  WarmupEntries,
  WarmupEntry,
  WarmupOptions,
  WarmupProgress,
  WarmupResult,
  Wrapped,
  WrapOptions,
} from "./types/types.js";
export {
  type GlobalResource,
  resource,
  type ResourceControls,
  type ResourceData,
  type ResourceId,
  type ResourceOptions,
  type UserResource,
} from "./resource.js";
export { cached, type CacheValue } from "./wrap.js";
