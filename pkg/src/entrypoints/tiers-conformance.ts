export * from "../tiers/conformance.js";
export type { Tier, TierEntry, TierOptions } from "../tiers/types.js";
