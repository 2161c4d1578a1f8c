// What somebody may have meant who wrote a name that we don't have. Only read when an error is made.

/** A name of ours, and what other caches call it, in lower case. */
const ELSEWHERE = `
maxEntries max maxsize maxkeys limit capacity
maxBytes maxsize
maxEntryBytes maxentrysize
ttl maxage stdttl expires
idleTtl timetoidle tti maxidle sliding
sizeOf sizecalculation
staleWhileRevalidate stale grace allowstale
hardTimeout timeout
forceFresh forcerefresh
purgeStaleEvery ttlautopurge checkperiod checkinterval scheduler
clone useclones
eviction evict evictionpolicy policy
attempts times tries retries
getKey key cachekey keybuilder serialize
evict dispose eviction`;

/** What has no option here, and what to use in its stead. */
const ADVICE: Record<string, string> = {
  updateageonget: "use idleTtl, beside ttl",
  dispose: 'use on("evict") and on("expire")',
  onevict: 'use on("evict")',
  oneviction: 'use on("evict")',
  fetchmethod: "give getOrSet the loader",
  loader: "give getOrSet the loader",
  maxentries: "the whole cache has it",
  maxbytes: "the whole cache has it",
  maxentrybytes: "the whole cache has it",
  eviction: "the whole cache has it",
  clone: "the whole cache has it",
};

/** Of the names, those that this one may be a slip or another library's word for. */
export function near(name: string, names: Iterable<string>): string[] {
  const said = plain(name);
  const slips = Math.min(2, Math.max(1, Math.floor(said.length / 3)));
  return [...names].filter((one) => isElsewhere(one, said) || distance(said, plain(one)) <= slips);
}

/** The part of an error about an unknown name that tells what to write instead. */
export function instead(name: string, names: Iterable<string>): string {
  const meant = near(name, names);
  if (meant.length > 0) return `, did you mean ${meant.join(" or ")}?`;
  const said = name.toLowerCase();
  const advice = Object.hasOwn(ADVICE, said) ? ADVICE[said] : undefined;
  return advice === undefined ? "." : `, ${advice}.`;
}

/** Without what libraries differ in: case, underscores, a unit at the end, `on` before an event. */
function plain(name: string): string {
  return name.replace(/^on(?=[A-Z])|_|-|(_?[mM]s|Seconds|Millis)$/g, "").toLowerCase();
}

function isElsewhere(ours: string, said: string): boolean {
  return ELSEWHERE.split("\n").some((line) => line.startsWith(`${ours} `) && line.split(" ").includes(said));
}

/** Levenshtein's: how many letters to change, put in or leave out. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
