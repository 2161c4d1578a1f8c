import { NearCache } from "nearcache";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { cachedUsers } from "./users.mjs";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A source that counts its calls. */
const source = () => vi.fn(async (id) => ({ id }));

test("a user is asked for once a minute", async () => {
  const find = source();
  const user = cachedUsers(find);
  await Promise.all([user(1), user(1)]);
  vi.advanceTimersByTime(59_000);
  expect(await user(1)).toEqual({ id: 1 });
  expect(find).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(2_000);
  await user(1);
  expect(find).toHaveBeenCalledTimes(2);
});

test("a clock that is set forward counts too, however busy the cache was", async () => {
  const find = source();
  const user = cachedUsers(find);
  for (let hits = 0; hits < 100; hits++) await user(1);
  vi.setSystemTime(Date.now() + 61_000);
  await user(1);
  expect(find).toHaveBeenCalledTimes(2);
});

test("nobody waits longer than five seconds", async () => {
  const user = cachedUsers(() => new Promise(() => {}));
  const refused = expect(user(1)).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
  await vi.advanceTimersByTimeAsync(5_000);
  await refused;
});

test("with purgeStaleEvery what is over leaves by itself", () => {
  const gone = vi.fn();
  const sessions = new NearCache({ ttl: "1m", purgeStaleEvery: "1s" });
  sessions.on("expire", ({ key }) => gone(key));
  sessions.set("ann", 1);
  vi.advanceTimersByTime(59_000);
  expect(gone).not.toHaveBeenCalled();
  vi.advanceTimersByTime(2_000);
  expect(gone).toHaveBeenCalledWith("ann");
  expect(vi.getTimerCount()).toBe(0);
});

test("real time is back afterwards", async () => {
  vi.useRealTimers();
  const find = source();
  const user = cachedUsers(find);
  for (let hits = 0; hits < 100; hits++) await user(1);
  vi.useFakeTimers({ now: Date.now() + 61_000 });
  await user(1);
  expect(find).toHaveBeenCalledTimes(2);
});
