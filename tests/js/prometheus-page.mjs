// A page of the class's figures with awkward labels, for Prometheus' own parser (`scripts/test pkg`).

import { NearCache, prometheus } from "nearcache";

const AWKWARD = [
  "plain",
  'with "quotes"',
  "back\\slash",
  "ends in a backslash\\",
  "two\nlines",
  "carriage\rreturn",
  '},le="0.5"} 1',
  "# HELP nearcache_loads_total",
  "\\n is no line end",
  "späť 缓存 🦀\u2028",
];

const caches = AWKWARD.map((name) => new NearCache({ name, maxBytes: 1_000, batch: { load: async (keys) => keys } }));
for (const cache of caches) {
  for (const part of [cache, ...AWKWARD.map((name) => cache.namespace(name))]) {
    part.set("k", "v").get("k");
    part.get("absent");
    await part.getMany(["a", "b", "c"]);
  }
}
process.stdout.write(prometheus(caches));
