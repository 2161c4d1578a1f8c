// The same as an ES module, which Jest wants `node --experimental-vm-modules` for.
import { jest } from "@jest/globals";
import { NearCache } from "nearcache";

test("the time of an ES module's cache is faked as well", () => {
  jest.useFakeTimers();
  const users = new NearCache({ ttl: "1m" }).set(1, "one");
  for (let hits = 0; hits < 100; hits++) users.get(1);
  jest.advanceTimersByTime(59_000);
  expect(users.get(1)).toBe("one");
  jest.advanceTimersByTime(1_000);
  expect(users.get(1)).toBe(undefined);
  jest.useRealTimers();
});
