// What "nearcache" exports.

export { advise, NearCache, prometheus } from "./cache.js";
export { DataLoader } from "./dataloader.js";
export { NearCacheError, type NearCacheErrorCode } from "./errors.js";
export type { Compute } from "./computes.js";
export type { Stats } from "./stats.js";
export type { BreakerState, TierStats } from "./stats.js";
export type { Tiers } from "./tiering.js";
export type { Events, KeyEvent, Place, Plugin } from "./events.js";
export type { LoadContext, Loaded, Loader } from "./loader.js";
export type { Duration } from "./options.js";
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
  Keeper,
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
} from "./types.js";
export {
  type GlobalResource,
  resource,
  type ResourceControls,
  type ResourceData,
  type ResourceId,
  type ResourceOptions,
  type UserResource,
} from "./resource.js";
export { cached } from "./wrap.js";
