// What is bound beside the memory: tiers below it, leases, and a log of purges. Nothing of it has to be.

import { DurableObject, waitUntil } from "cloudflare:workers";
import module from "./tiers_bg.wasm";
import { Edge } from "../../../pkg/src/http/edge.ts";
import { optionError } from "../../../pkg/src/options/options.ts";
import { checkBinding } from "../../../pkg/src/tiers/binding.ts";
import { tiers } from "../../../pkg/src/tiers/chain.ts";
import { leaseObject, objectLease } from "../../../pkg/src/tiers/lease.ts";
import { cacheApiTier, kvTier, objectTier, r2Tier, storeObject } from "../../../pkg/src/tiers/platform.ts";
import { purgeLog, purgeLogObject } from "../../../pkg/src/tiers/purge-log.ts";
import { initTiers } from "../../../pkg/src/tiers/wasm.ts";

const init = () => initTiers(() => module, waitUntil);

/** The base of the objects: in their isolates nobody else makes the instance. */
class ObjectBase extends DurableObject {
  constructor(state, env) {
    super(state, env);
    init();
  }
}
export class StoreObject extends storeObject(ObjectBase) {}
export class LeaseObject extends leaseObject(ObjectBase) {}
export class PurgeLogObject extends purgeLogObject(ObjectBase) {}

/** The isolate's; nothing where nothing is bound. */
export let edge;

/** By what method each binding is known, and what it is. */
const BINDINGS = {
  KV: ["getWithMetadata", "a KV namespace"],
  STORE: ["idFromName", "a namespace of Durable Objects"],
  LEASE: ["idFromName", "a namespace of Durable Objects"],
  PURGE_LOG: ["idFromName", "a namespace of Durable Objects"],
  BODIES: ["head", "an R2 bucket"],
};

/** A proxy is there, the first or another after that one failed. @throws {NearCacheError} `ERR_OPTION` */
export function useEdge(proxy, env) {
  for (const [name, [method, wanted]] of Object.entries(BINDINGS)) {
    if (env[name] !== undefined) checkBinding(name, env[name], method, wanted);
  }
  const { KV, STORE, LEASE, PURGE_LOG, BODIES } = env;
  const [cacheApi, maxStaleness, hard] = proxy.edgeConfig();
  const list = [];
  // A purge reaches the Cache API of other places by the log only.
  if (cacheApi === 1 || (Number.isNaN(cacheApi) && PURGE_LOG)) list.push(cacheApiTier(caches.default));
  if (STORE) list.push(objectTier(STORE, { shards: 16 }));
  if (KV) list.push(kvTier(KV));
  const bodies = BODIES && r2Tier(BODIES);
  // What is said of a body lies in a tier.
  if (bodies && list.length === 0) list.push(bodies);
  if (LEASE && list.length === 0) {
    throw optionError("LEASE", "no store beside it", "STORE, KV or CACHE_API, where others find what one has loaded");
  }
  if (list.length === 0 && !PURGE_LOG) return;
  if (edge === undefined) {
    init();
    const chain = list.length > 0 ? tiers(list, { bodies, lease: LEASE && objectLease(LEASE) }) : undefined;
    const log = PURGE_LOG ? purgeLog(PURGE_LOG, { maxStaleness, bound: hard === 1 ? "hard" : "soft" }) : undefined;
    edge = new Edge(proxy.edge(), { tiers: chain, purgeLog: log }, waitUntil);
  } else {
    edge.use(proxy.edge());
  }
}
