// Never run: it says what a strict TypeScript project may do with the package, and what is an error there.
import {
  cached,
  DataLoader,
  NearCache,
  NearCacheError,
  prometheus,
  type CacheLike,
  type DetailedOptions,
  type Details,
  type Health,
  type KeepFresh,
  type LoadContext,
  type NearCacheErrorCode,
  type Stats,
  type WarmupResult,
} from "nearcache";

interface User {
  name: string;
}
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <T extends true>(): T | undefined => undefined;

const users = new NearCache<number, User>({
  maxEntries: 5,
  ttl: "90s",
  hardTimeout: 1_000,
  sizeOf: (user, id) => user.name.length + id,
});

// What comes out has the type of what went in.
const found = users.get(1);
is<Equal<typeof found, User | undefined>>();
const asked = users.getOrSet(1, async (id, ctx) => {
  is<Equal<typeof id, number>>();
  is<Equal<typeof ctx, LoadContext<number, User>>>();
  ctx.ttl = "5s";
  const signal: AbortSignal = ctx.signal;
  return { name: `${id} ${signal.aborted}` };
});
is<Equal<typeof asked, Promise<User>>>();
users.getOrSet(2, () => ({ name: "a loader need not be async" }), {
  ttl: 5,
  forceFresh: true,
  signal: new AbortController().signal,
});
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

// How values come to be and go.
const detailed = users.getOrSet(3, async (_, ctx) => ctx.stale ?? { name: "new" }, {
  details: true,
  tags: ["all"],
  swr: "1m",
});
is<Equal<typeof detailed, Promise<Details<User>>>>();
declare const asking: DetailedOptions<number>;
const detailedToo = users.getOrSet(3, undefined, asking);
is<Equal<typeof detailedToo, Promise<Details<User>>>>();
const many = users.getMany([1, 2], async (ids, contexts) =>
  ids.map((id, at) => ((contexts[at]!.ttl = 5), { name: `${id}` })),
);
is<Equal<typeof many, Promise<(User | Error)[]>>>();
const updated = users.update(1, async (id) => ({ name: `${id}` }), { tags: ["all"] });
is<Equal<typeof updated, Promise<User>>>();
const orders = users.namespace<string, number>("orders", {
  ttl: "5m",
  batch: { load: (ids) => ids.map((id) => id.length) },
});
is<Equal<typeof orders, NearCache<string, number>>>();
const count = orders.scope("user:42").getOrSet("a");
is<Equal<typeof count, Promise<number>>>();
const off: () => void = users.on("evict", ({ key, value, cause }) => {
  is<Equal<typeof value, User>>();
  is<Equal<typeof cause, "size" | "expired" | "replaced" | "removed">>();
  const told: number = key;
  return told;
});
users.use({ error: ({ error, duration }) => console.warn(error, duration) });
const health: Health = users.health({ minHitRate: 0.5, maxLatency: "1s" });
const page: string = prometheus([users, orders]) + prometheus(users);
// @ts-expect-error no cache
prometheus([users, 5]);
const loader = new DataLoader<number, User>(async (ids) => ids.map((id) => ({ name: `${id}` })), { name: page });
const loaded = loader.load(1);
is<Equal<typeof loaded, Promise<User>>>();
if (health.ok) off();

// @ts-expect-error an event that does not exist
users.on("hits", () => {});
// @ts-expect-error a writer that brings another type
users.update(1, async () => "user");
// @ts-expect-error a key of another type
users.get("1");
// @ts-expect-error a value of another type
users.set(1, "user");
// @ts-expect-error a loader that brings another type
users.getOrSet(1, async () => "user");
// @ts-expect-error an option that does not exist
new NearCache({ maxEntrys: 5 });
// @ts-expect-error a duration is a number or a string
new NearCache({ ttl: true });
// @ts-expect-error a bound is a number
new NearCache({ maxEntries: "5" });
// @ts-expect-error the key is read-only
users.getOrSet(1, (_id, ctx) => ((ctx.key = 2), { name: "" }));
// @ts-expect-error so is the size
users.size = 0;
// @ts-expect-error what may be missing must be looked at first
users.get(1).name;

// A loader that brings something else is the only thing that is wrong then: the call still promises a user.
const promised: Promise<User> = users.getOrSet(
  1,
  // @ts-expect-error a user has a name
  async () => ({ nam: "" }),
);
is<Equal<typeof promised, Promise<User>>>();

// Where a cache does not state the type of its values, each call has its loader's.
const any = new NearCache();
const inferred = any.getOrSet("a", async (_, ctx) => ({ name: String(ctx.key) }));
is<Equal<typeof inferred, Promise<{ name: string }>>>();
const inferredToo = any.getOrSet("a", () => 1, { details: true });
is<Equal<typeof inferredToo, Promise<Details<number>>>>();
const written = any.update("a", async () => "new");
is<Equal<typeof written, Promise<string>>>();
const some = any.getMany([1], async (ids, contexts) => ids.map((id, at) => (contexts[at]!.skip(), `${id}`)));
is<Equal<typeof some, Promise<(string | Error)[]>>>();
const unstated = new NearCache<string, unknown>();
const ofUnknown = unstated.getOrSet("a", async () => 1n);
is<Equal<typeof ofUnknown, Promise<bigint>>>();
const narrower = users.getOrSet(1, async () => ({ name: "a", age: 1 }));
is<Equal<typeof narrower, Promise<User>>>();
const maybe = new NearCache<string, User | undefined>();
const absent = maybe.getOrSet("a", async () => undefined);
is<Equal<typeof absent, Promise<User | undefined>>>();
function through<V>(cache: NearCache<string, V>, load: (key: string) => Promise<V>): Promise<V> {
  return cache.getOrSet("a", load);
}
through(new NearCache<string, User>(), async (name) => ({ name }));

// Options may come from a variable, with whatever it may hold.
declare const wantsDetails: boolean;
const either = users.getOrSet(1, () => ({ name: "" }), { details: wantsDetails });
is<Equal<typeof either, Promise<User | Details<User>>>>();
const without = users.getOrSet(1, () => ({ name: "" }), { details: false });
is<Equal<typeof without, Promise<User>>>();
const lifetimes = { ttl: "5m", staleWhileRevalidate: "1h" };
new NearCache(lifetimes).set("a", 1, lifetimes);
users.getOrSet(1, (_, ctx) => ((ctx.swr = lifetimes.ttl), { name: "" }), lifetimes);
declare const maybeSignal: AbortSignal | undefined;
declare const maybeNumber: number | undefined;
users.getOrSet(1, undefined, { signal: maybeSignal, bytes: maybeNumber, forceFresh: undefined });
users.update(1, () => ({ name: "" }), { signal: maybeSignal, ttl: maybeNumber });
users.warmup([{ key: 1, loader: undefined }], { signal: maybeSignal, concurrency: maybeNumber });
new NearCache({ maxBytes: maybeNumber, sizeOf: undefined, plugins: undefined, batch: undefined, clock: undefined });
users.health({ minHitRate: maybeNumber });
users.use({ hit: undefined });
// @ts-expect-error an unknown option beside a variable's
users.getOrSet(1, () => ({ name: "" }), { signal: maybeSignal, tll: 5 });

// A function that takes any cache takes each, and one that takes a cache of some values no other.
function sizes(...caches: NearCache[]): number[] {
  return caches.map((cache) => cache.size);
}
sizes(users, orders, any, unstated);
const like: CacheLike<number, User> = users;
like.get(1)?.name.trim();
function ofUsers(cache: NearCache<number, User>): number {
  return cache.size;
}
ofUsers(any);
// @ts-expect-error a cache of other values
ofUsers(orders);
class Counter {
  hits = 0;
  hit(): void {
    this.hits++;
  }
}
new NearCache<number, User>({ plugins: [new Counter()] });
// @ts-expect-error an object of hooks with one that is none
users.use({ hits: () => {} });

// A wrapped function is called as the function is; what it gives comes in a promise.
const find = users.wrap((id: number, retries?: number) => ({ name: `${id} ${retries}` }), {
  ttl: "1m",
  skipArgs: 1,
  getKey: (id, retries) => [id + (retries ?? 0)],
});
is<Equal<Parameters<typeof find>, [id: number, retries?: number | undefined]>>();
const given = find(1);
is<Equal<typeof given, Promise<{ name: string }>>>();
const refreshed = find.refresh(1, 2);
is<Equal<typeof refreshed, Promise<{ name: string }>>>();
const bypassed = find.bypass(1);
is<Equal<typeof bypassed, { name: string }>>();
const gone: boolean = find.invalidate(1);
const peeked = find.cache.peek(find.key(1, 2));
is<Equal<typeof peeked, { name: string } | undefined>>();
const same = any.wrap(async <T>(value: T, ...more: string[]): Promise<T[]> => (more.length > 0 ? [] : [value]));
const generic = same(gone);
is<Equal<typeof generic, Promise<boolean[]>>>();
const genericToo = same.refresh("value", "more");
is<Equal<typeof genericToo, Promise<string[]>>>();
declare function overloaded(id: number): Promise<number>;
declare function overloaded(id: string): Promise<string>;
const both = any.wrap(overloaded);
const ofNumber = both(1);
is<Equal<typeof ofNumber, Promise<number>>>();
interface Query<T> extends Promise<T> {
  sql: string;
}
declare function query(id: number): Query<User>;
const asPromise = users.wrap(query)(1);
is<Equal<typeof asPromise, Promise<User>>>();

// @ts-expect-error an argument of another type
find("1");
// @ts-expect-error too many arguments
find.invalidate(1, 2, 3);
// @ts-expect-error a function whose values are not the cache's
users.wrap(async (id: number) => id);
// @ts-expect-error a function that needs a this
any.wrap(function (this: User) {
  return this.name;
});
// @ts-expect-error getKey has the function's parameters
any.wrap(async (id: number) => id, { getKey: (id: string) => id });
// @ts-expect-error an option that does not exist
any.wrap(async () => 1, { tll: 1 });

class Repository {
  @cached({ cache: users, ttl: "1m" })
  async find(id: number, retries = 1): Promise<User> {
    return { name: `${id} ${retries}` };
  }
  @cached({ cache: any })
  async generic<T>(value: T): Promise<T> {
    return value;
  }
  @cached({ cache: any, getKey: (id: string) => id })
  async #hidden(id: string): Promise<string> {
    return id;
  }
  hidden(id: string): [Promise<string>, boolean] {
    return [cached.of(this, this.#hidden).refresh(id), cached.of(this, this.#hidden).invalidate(id)];
  }
  @cached({ cache: any })
  static async count(): Promise<number> {
    return 1;
  }
  @cached({ cache: new NearCache({ ttl: "1m" }) })
  async ofItsOwn(id: number): Promise<User> {
    return { name: `${id}` };
  }
  @cached({ cache: users.namespace("part") })
  async ofAPart(id: number): Promise<User> {
    return { name: `${id}` };
  }

  // @ts-expect-error a method whose values are not those of a cache that is made for it
  @cached({ cache: new NearCache<number, string>() })
  async ofAnother(id: number): Promise<User> {
    return { name: `${id}` };
  }
  // @ts-expect-error a method that is not async, whose callers would get a promise
  @cached({ cache: any })
  sync(): number {
    return 1;
  }
  // @ts-expect-error a method whose values are not the cache's
  @cached({ cache: users })
  async other(): Promise<number> {
    return 1;
  }
  // @ts-expect-error not a method
  @cached({ cache: any })
  field = 1;
  // @ts-expect-error no cache
  @cached({ ttl: "1m" })
  async nowhere(): Promise<number> {
    return 1;
  }
}
const repository = new Repository();
is<Equal<typeof repository.find, (id: number, retries?: number | undefined) => Promise<User>>>();
const text = repository.generic("text");
is<Equal<typeof text, Promise<string>>>();
const controls = cached.of(repository, repository.find);
const again = controls.refresh(1);
is<Equal<typeof again, Promise<User>>>();
cached.of(Repository, Repository.count).invalidate();
// @ts-expect-error an argument of another type
controls.invalidate("1");

// Warm-ups and keepers.
const warmed = users.warmup([{ key: 1, loader: async (id) => ({ name: `${id}` }), options: { ttl: "1m" } }], {
  concurrency: 5,
  onProgress: ({ done, total, key, error }) => void [done + (total ?? 0), key + 1, error],
});
is<Equal<typeof warmed, Promise<WarmupResult<number>>>>();
users.warmup(new Map([[1, async (id: number) => ({ name: `${id}` })]]));
async function* later() {
  yield { key: 1 };
}
users.warmup(later(), { loader: () => ({ name: "" }), signal: new AbortController().signal });
const keeper: KeepFresh<number> = users.keepFresh(() => [{ key: 1 }], {
  every: "1m",
  loader: () => ({ name: "" }),
  onError: (error, key) => void [error, key],
  timers: true,
});
keeper.run().then(({ failed }) => failed.map(({ key }) => key + 1));
keeper.stop();
// @ts-expect-error a key of another type
users.warmup([{ key: "1" }]);
// @ts-expect-error a loader that brings another type
users.warmup([{ key: 1, loader: () => 1 }]);
// @ts-expect-error no time between rounds
users.keepFresh([], {});
