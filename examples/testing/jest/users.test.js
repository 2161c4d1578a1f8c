const { cachedUsers } = require("./users.js");

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** A source that counts its calls. */
const source = () => jest.fn(async (id) => ({ id }));

test("a user is asked for once a minute", async () => {
  const find = source();
  const user = cachedUsers(find);
  await Promise.all([user(1), user(1)]);
  jest.advanceTimersByTime(59_000);
  expect(await user(1)).toEqual({ id: 1 });
  expect(find).toHaveBeenCalledTimes(1);
  jest.advanceTimersByTime(2_000);
  await user(1);
  expect(find).toHaveBeenCalledTimes(2);
});

test("a clock that is set forward counts too, however busy the cache was", async () => {
  const find = source();
  const user = cachedUsers(find);
  for (let hits = 0; hits < 100; hits++) await user(1);
  jest.setSystemTime(Date.now() + 61_000);
  await user(1);
  expect(find).toHaveBeenCalledTimes(2);
});

test("nobody waits longer than five seconds", async () => {
  const user = cachedUsers(() => new Promise(() => {}));
  const refused = expect(user(1)).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
  await jest.advanceTimersByTimeAsync(5_000);
  await refused;
});

test("real time is back afterwards", async () => {
  jest.useRealTimers();
  const find = source();
  const user = cachedUsers(find);
  for (let hits = 0; hits < 100; hits++) await user(1);
  jest.useFakeTimers({ now: Date.now() + 61_000 });
  await user(1);
  expect(find).toHaveBeenCalledTimes(2);
});
