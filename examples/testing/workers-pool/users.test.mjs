import { SELF } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { cachedUsers } from "./users.mjs";

afterEach(() => void vi.useRealTimers());

test("requests share what one of them has loaded", async () => {
  const answers = await Promise.all(Array.from({ length: 10 }, () => SELF.fetch("https://example.com/ada")));
  expect(await Promise.all(answers.map((answer) => answer.json()))).toEqual(
    answers.map(() => ({ id: "/ada", call: 1 })),
  );
});

test("a user is asked for once a minute", async () => {
  vi.useFakeTimers();
  const find = vi.fn(async (id) => ({ id }));
  const user = cachedUsers(find);
  await Promise.all([user(1), user(1)]);
  vi.advanceTimersByTime(59_000);
  await user(1);
  expect(find).toHaveBeenCalledTimes(1);
  vi.setSystemTime(Date.now() + 2_000);
  await user(1);
  expect(find).toHaveBeenCalledTimes(2);
});

test("nobody waits longer than five seconds", async () => {
  vi.useFakeTimers();
  const user = cachedUsers(() => new Promise(() => {}));
  const refused = expect(user(1)).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
  await vi.advanceTimersByTimeAsync(5_000);
  await refused;
});
