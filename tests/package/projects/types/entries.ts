// Never run: the types of the other entry points.
import { NearCache, resource, type Stats } from "nearcache/inline";
import { init, initSync, NearCache as Handed, type WasmSource } from "nearcache/init";
import wasm from "nearcache/nearcache.wasm";
import { type FieldEdits, HttpCache, hono, type Rule, type RuleKey } from "nearcache/http";
import {
  broadcast,
  invalidation,
  loadSnapshot,
  memoryTier,
  saveSnapshot,
  snapshotTier,
  type Tier,
  type TierChain,
  tiers,
} from "nearcache/tiers";
import { testTier } from "nearcache/tiers/conformance";

const stats: Stats = new NearCache<string, number>({ ttl: "1m" }).stats();
const cache: Handed<string, number> = new Handed();
const source: WasmSource = wasm;
initSync(source);
initSync(new Uint8Array(stats.hits));
init(fetch("/nearcache.wasm")).then(() => cache.get("a"));

// A class of one's own.
class Users extends NearCache<string, { name: string }> {
  constructor(ttl: string) {
    super({ ttl, name: "users" });
  }
  override get(id: string): { name: string } | undefined {
    return super.get(id);
  }
  load(id: string): Promise<{ name: string }> {
    return this.getOrSet(id, () => ({ name: id }));
  }
}
new Users("1m").load("ada").then(({ name }) => name.trim());

// Tiers, ours and one's own.
const own: Tier = { name: "own", get: async () => undefined, set: async () => {}, delete: async () => {} };
const chain: TierChain = tiers([memoryTier({ ttl: "10s" }), own], { clockSkew: 100 });
const tiered = new NearCache<string, number>({ tiers: chain });
resource<string, number>(tiered, "number", { ttl: "1m", tiers: ["own"] }).getOrSet("1", () => 1);
saveSnapshot(tiered, snapshotTier(memoryTier()), { schema: "1" }).then(({ entries }) => entries + 1);
loadSnapshot(tiered, snapshotTier(memoryTier())).then((loaded) => loaded?.entries);
invalidation(tiered, { transport: broadcast("shop") }).publish("order", "42", "update");
testTier({ make: () => memoryTier() }).then((results) => results.length);
// @ts-expect-error tiers that are no chain
new NearCache({ tiers: [memoryTier()] });
// @ts-expect-error no tier
tiers([{ name: "own" }]);

// A shared HTTP cache, and its rules: slips in them are errors.
const key: RuleKey = { query: { drop: ["utm_*"], sort: true }, fields: ["X-Version"], device: true };
const response: FieldEdits = { remove: ["X-Powered-By"], set: { "X-Frame-Options": "DENY" } };
const rules: Rule[] = [{ path: "/a/*", ttl: "1d", key, response }];
const http = new HttpCache({ rules, defaults: { staleIfError: "1h", statusTtl: { "404": "5s" } }, tiers: chain });
http.fetch("https://example.com/").then(({ status }) => status + 1);
hono(http, { fetch: () => new Response() });
// @ts-expect-error a setting that does not exist
new HttpCache({ rules: [{ paths: "/a" }] });
// @ts-expect-error one that does not exist in the key
new HttpCache({ defaults: { key: { querry: {} } } });
// @ts-expect-error a word that is none
new HttpCache({ defaults: { ranges: "some" } });
