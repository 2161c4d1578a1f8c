// The face of "nearcache/tiers".

export type { Connect, TcpSocket } from "./connection.js";
export { NearCacheError } from "../options/errors.js";
export { tiers } from "./chain.js";
export {
  broadcast,
  type Invalidation,
  invalidation,
  type InvalidationOptions,
  type InvalidationStats,
  type Purged,
  redisPubSub,
  type Transport,
} from "./invalidation.js";
export { leaseObject, type LeaseOptions, objectLease } from "./lease.js";
export { withMarks, type WithMarksOptions } from "./marks.js";
export { type MemoryTierOptions, memoryTier } from "./memory.js";
export {
  type BindingTierOptions,
  type CacheApi,
  cacheApiTier,
  type KvNamespace,
  kvTier,
  type ObjectNamespace,
  type ObjectState,
  objectTier,
  type ObjectTierOptions,
  type R2BucketLike,
  type R2ObjectLike,
  r2Tier,
  storeObject,
  type StoreStub,
} from "./platform.js";
export { redisSocketTier, type RedisSocketTierOptions } from "./redis-socket.js";
export type { PurgeMessage, PurgeSubject } from "./messages.js";
export {
  type Following,
  type Heed,
  purgeLog,
  type PurgeLog,
  type PurgeLogBounds,
  purgeLogObject,
  type PurgeLogOptions,
  type PurgeLogPage,
  type PurgeLogStats,
  type PurgeLogStub,
} from "./purge-log.js";
export { type IoRedisClient, type NodeRedisClient, redisTier, type RedisTierOptions } from "./redis.js";
export { loadSnapshot, saveSnapshot, snapshotBytes } from "./snapshot.js";
export type {
  LoadedSnapshot,
  LoadSnapshotOptions,
  SavedSnapshot,
  SnapshotOptions,
  WholeCache,
} from "./snapshot-types.js";
export {
  type SnapshotSource,
  type SnapshotStore,
  snapshotTier,
  type SnapshotTierOptions,
  type SnapshotTarget,
} from "./snapshot-stores.js";
export { tierObject } from "./tier-object.js";
export type { BodyStats, BreakerState, TierStats } from "../types/stats.js";
export type {
  BodyStore,
  Codec,
  LeaseSource,
  LeaseStub,
  StreamEntry,
  Tier,
  TierChain,
  TierEntry,
  TierOptions,
  TiersOptions,
} from "./types.js";
export { type ZonePurge, zonePurge, type ZonePurgeCode, ZonePurgeError, type ZonePurgeOptions } from "./zone-purge.js";
