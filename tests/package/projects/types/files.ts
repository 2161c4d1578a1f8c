// Never run: what there is where there are files, and not in Workers.
import { NearCache } from "nearcache";
import { fileTier, loadSnapshot, saveSnapshot, snapshotFile, tiers } from "nearcache/tiers";

const cache = new NearCache<string, number>({ tiers: tiers([fileTier("/tmp/tier", { ttl: "1h" })]) });
saveSnapshot(cache, snapshotFile("/tmp/file"), { schema: "1" }).then(({ entries }) => entries + 1);
loadSnapshot(cache, snapshotFile("/tmp/file")).then((loaded) => loaded?.entries);
