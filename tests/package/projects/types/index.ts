// Never run: it says what a strict TypeScript project may do with the package, and what is an error there.
import { NearCache, NearCacheError, type LoadContext, type NearCacheErrorCode, type Stats } from "nearcache";

interface User {
  name: string;
}
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <T extends true>(): T | undefined => undefined;

const users = new NearCache<number, User>({ maxEntries: 5, ttl: "90s", hardTimeout: 1_000, sizeOf: (user, id) => user.name.length + id });

// What comes out has the type of what went in.
const found = users.get(1);
is<Equal<typeof found, User | undefined>>();
const asked = users.getOrSet(1, async (id, ctx) => {
  is<Equal<typeof id, number>>();
  is<Equal<typeof ctx, LoadContext<number>>>();
  ctx.ttl = "5s";
  const signal: AbortSignal = ctx.signal;
  return { name: `${id} ${signal.aborted}` };
});
is<Equal<typeof asked, Promise<User>>>();
users.getOrSet(2, () => ({ name: "a loader need not be async" }), { ttl: 5, forceFresh: true, signal: new AbortController().signal });
for (const [id, user] of users) is<Equal<[typeof id, typeof user], [number, User]>>();
const chained: NearCache<number, User> = users.set(1, { name: "a" }, { ttl: "1m", bytes: 1 }).set(2, { name: "b" });
const stats: Stats = chained.stats();
const left: number | undefined = users.remainingTtl(1);
const objects = new NearCache<object, symbol>();
objects.set({}, Symbol("any key a Map takes"));
try {
  users.delete(stats.hits + (left ?? 0));
} catch (error) {
  if (error instanceof NearCacheError) is<Equal<typeof error.code, NearCacheErrorCode>>();
}

// @ts-expect-error a key of another type
users.get("1");
// @ts-expect-error a value of another type
users.set(1, "user");
// @ts-expect-error a loader that brings another type
users.getOrSet(1, async () => "user");
// @ts-expect-error an option that does not exist
new NearCache({ maxEntrys: 5 });
// @ts-expect-error a duration without a unit
new NearCache({ ttl: "5" });
// @ts-expect-error a bound is a number
new NearCache({ maxEntries: "5" });
// @ts-expect-error the key is read-only
users.getOrSet(1, (_id, ctx) => ((ctx.key = 2), { name: "" }));
// @ts-expect-error so is the size
users.size = 0;
// @ts-expect-error what may be missing must be looked at first
users.get(1).name;
