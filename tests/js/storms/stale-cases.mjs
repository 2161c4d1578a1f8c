// Stale values and write-throughs across requests.

import { sleep } from "../runner.mjs";
import { DELAY, deaths, isError, isTimeout, origin, storm } from "./harness.mjs";

export async function staleStorms() {
  // Stale values across requests. A value is loaded, its time passes, and what comes then is told by its status.
  const isStatus =
    (...statuses) =>
    ({ status, text }) => {
      if (status !== 200) return "no value";
      const got = JSON.parse(text);
      return statuses.includes(got.value?.status) && got.after === "after"
        ? undefined
        : `wanted status ${statuses.join(" or ")}`;
    };
  const swr = { ttl: 50, staleWhileRevalidate: 60_000, details: "yes" };
  /** Loads the value, and lets its time pass. */
  async function age(api, options) {
    await api.get(options, isStatus("miss"));
    await sleep(120);
  }
  await storm(
    "50 stale hits are answered at once and cost one origin call, which ends after the answers",
    2,
    async (api) => {
      await age(api, swr);
      const start = Date.now();
      await api.many(50, swr, isStatus("stale"));
      api.check(Date.now() - start < DELAY, `answered after ${Date.now() - start} ms`);
      api.check(
        /"inFlight":1\b/.test((await api.other("/stats")).text),
        "the refresh is not under way after the answers",
      );
      await sleep(DELAY + 150 - (Date.now() - start));
      const { text } = await api.other("/peek");
      api.check(text === "null" || /call 2/.test(text), `held after the refresh: ${text}`);
      api.check(/"refreshes":1\b/.test((await api.other("/stats")).text), "one refresh");
    },
  );
  for (const [how, parameters] of Object.entries({
    throws: { die: "throw" },
    "returns early": { die: "return" },
    "client leaves": {},
  })) {
    await storm(`the request that refreshes: ${how}; its refresh is brought home all the same`, 2, async (api) => {
      await age(api, swr);
      const dying = api.doomed({ ...swr, ...parameters });
      await sleep(how === "client leaves" ? 30 : 0);
      if (how === "client leaves") dying.cancel();
      await sleep(20);
      await api.many(20, swr, isStatus("stale"));
      await sleep(DELAY + 150);
      api.check(/"inFlight":0\b.*/.test((await api.other("/stats")).text), "the refresh has not come home");
    });
    await storm(
      `the request that refreshes: ${how}, its refresh lost; there is another after its deadline`,
      [3, 5],
      async (api) => {
        const short = { ...swr, hardTimeout: 600 };
        await age(api, short);
        const dying = api.doomed({ ...short, ...parameters, lose: "drop" });
        await sleep(how === "client leaves" ? 30 : 0);
        if (how === "client leaves") dying.cancel();
        await sleep(20);
        await api.many(20, short, isStatus("stale"));
        await sleep(700);
        await api.get(short, isStatus("stale"));
        await sleep(DELAY + 150);
        const { text } = await api.other("/stats");
        api.check(/"inserts":2\b/.test(text), `stored: ${text}`);
        // Misses sweep away what was lost without anybody waiting for it.
        for (const key of ["x", "y"]) await api.get({ ...short, key }, isStatus("miss"));
      },
    );
  }
  await storm("softTimeout across requests: the stale value, while one load goes on", 2, async (api) => {
    const soft = { ttl: 50, staleIfError: 60_000, soft: 100, details: "yes" };
    await age(api, soft);
    const start = Date.now();
    await api.many(20, soft, isStatus("stale-on-timeout"));
    api.check(Date.now() - start < DELAY, `answered after ${Date.now() - start} ms`);
    await sleep(DELAY + 100 - (Date.now() - start));
    const { text } = await api.other("/stats");
    api.check(/"inserts":2\b/.test(text) && /"softTimeouts":20\b/.test(text), `figures: ${text}`);
  });
  await storm(
    "softTimeout, and the leader dies with its load lost: followers get the stale value",
    [2, 3],
    async (api) => {
      const soft = { ttl: 50, staleIfError: 60_000, soft: 200, details: "yes" };
      await age(api, soft);
      api.doomed({ ...soft, die: "return later", after: 60, lose: "drop" });
      await sleep(20);
      await api.many(20, soft, isStatus("stale-on-timeout"));
      await sleep(2 * DELAY);
    },
  );
  await storm("stale-if-error: an origin that fails is answered for by the last good value", [2, 6], async (api) => {
    const stale = { ttl: 50, staleIfError: 60_000, details: "yes" };
    await age(api, stale);
    origin.failing = true;
    await api.many(50, stale, isStatus("stale-if-error"));
    await api.many(5, stale, isStatus("stale-if-error"));
    origin.failing = false;
    const [{ text }] = await api.many(1, stale, isStatus("miss"));
    api.check(/call [3-6]/.test(text), text);
  });
  await storm("errorBackoff: a failing origin is asked once, whatever comes within it", 2, async (api) => {
    const stale = { ttl: 50, staleIfError: 60_000, errorBackoff: 30_000, details: "yes" };
    await age(api, stale);
    origin.failing = true;
    for (let i = 0; i < 5; i++) await api.many(20, stale, isStatus("stale-if-error", "stale"));
    origin.failing = false;
  });
  await storm("errorBackoff without a value: the same error, from one origin call", 1, async (api) => {
    origin.failing = true;
    for (let i = 0; i < 3; i++) await api.many(20, { errorBackoff: 30_000 }, isError(/the origin says 503/));
    origin.failing = false;
  });
  await storm("update: its value is there for other requests", 1, async (api) => {
    await api.get({ write: "yes" });
    await api.many(20, {});
  });
  for (const lose of [undefined, "drop"]) {
    for (const [how, parameters] of Object.entries(deaths)) {
      // Each later get loads: while the write is under way, nothing is stored.
      await storm(
        `update in a request that ${how}${lose ? ", its write lost" : ""}: the old value is not served afterwards`,
        [2, 8],
        async (api) => {
          const first = await api.get({});
          api.doomed({ ...parameters, write: "yes", ...(lose && { lose }) });
          await sleep(60);
          const during = await api.many(5, {});
          await sleep(DELAY);
          const later = await api.many(5, {});
          for (const { text } of [...during, ...later])
            api.check(JSON.parse(text).value !== JSON.parse(first.text).value, `served: ${text}`);
        },
      );
    }
  }
  await storm(
    "update waits across requests no longer than its deadline, and leaves nothing behind",
    [2, 4],
    async (api) => {
      await api.get({});
      origin.hanging = true;
      await api.get({ write: "yes", timeout: 200 }, isTimeout);
      origin.hanging = false;
      api.check((await api.other("/peek")).text === "null", "the old value is there");
      await api.many(5, {});
    },
  );
}
