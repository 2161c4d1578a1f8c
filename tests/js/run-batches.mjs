// Batches under storms of requests in raw workerd: requests that share a batch, and openers that die.
// `--only=part of a case's name`.

import { fileURLToPath } from "node:url";
import { limit, report, settings } from "./report.mjs";
import { ok, equal, run, sleep, test } from "./runner.mjs";
import { startOrigin } from "./storms/origin.mjs";
import { COMPLAINT, send as sendTo } from "./storms/send.mjs";
import { bundle, scratch, serve } from "./workerd.mjs";

const DELAY = 200;
limit(120_000, "batches");
const origin = await startOrigin(DELAY);
const folder = scratch();
await bundle(fileURLToPath(new URL("storms/batches.mjs", import.meta.url)), folder);
const worker = await serve(folder, { services: { ORIGIN: origin.address } });

const send = (path, parameters) => sendTo(worker.url, path, parameters, { timeout: 20_000 });

/** A request that must get a value for each of its keys, its own, and do I/O afterwards. */
async function get(batcher, keys, parameters = {}) {
  const { status, text } = await send("/get", { batcher, keys: keys.join(), ...parameters }).answer;
  equal(status, 200, text);
  const { got, after } = JSON.parse(text);
  equal(after, "after");
  keys.forEach((key, i) => ok(new RegExp(`^${key} by /.* call \\d+$`).test(got[i]), `${key} got ${got[i]}; it`));
}
const stats = async (batcher) => JSON.parse((await send("/stats", { batcher }).answer).text);
const keysOf = (i, count) => Array.from({ length: count }, (_, j) => `k${i}-${j}`);

function storm(title, body) {
  test(title, async () => {
    const logged = worker.log().length;
    await body(title);
    for (const line of worker.log().slice(logged).split("\n")) {
      ok(!COMPLAINT.test(line), `the runtime's log: ${line}; silence`);
    }
  });
}

storm("a request's promise jobs run without any other request's code between them", async () => {
  const answers = await Promise.all(Array.from({ length: 200 }, () => send("/turns", {}).answer));
  ok(answers.every(({ status }) => status === 200));
  equal((await stats("")).torn, 0);
});

for (const wake of [undefined, "yes"]) {
  storm(`the microtask window never mixes requests${wake ? " that go on at the same moment" : ""}`, async (name) => {
    await Promise.all(Array.from({ length: 200 }, (_, i) => get(name, keysOf(i, 30), wake && { wake })));
    const { sizes, mixed, errors } = await stats(name);
    equal([sizes.length, new Set(sizes).size, sizes[0], mixed, errors], [200, 1, 30, 0, 0]);
  });
}

storm("a window in milliseconds gathers the keys of many requests", async (name) => {
  await Promise.all(Array.from({ length: 200 }, (_, i) => get(name, keysOf(i, 5), { window: 100 })));
  const { sizes, mixed, errors } = await stats(name);
  equal([sizes.reduce((a, b) => a + b, 0), errors], [1000, 0]);
  ok(mixed > 0 && sizes.length <= 60, `${sizes.length} batches, ${mixed} mixed; fewer`);
});

storm("a batch that another request fills goes at once, in its opener's request", async (name) => {
  const start = Date.now();
  const parameters = { window: 5_000, max: 10 };
  await Promise.all(Array.from({ length: 20 }, (_, i) => get(name, keysOf(i, 5), parameters)));
  const { sizes, mixed } = await stats(name);
  ok(
    sizes.every((size) => size === 10),
    `${sizes}: all full; it`,
  );
  equal(sizes.length, 10);
  ok(mixed > 0 && Date.now() - start < 4_000, `${Date.now() - start} ms, ${mixed} mixed; soon`);
});

storm("a batch goes on when the request that filled it dies", async (name) => {
  const parameters = { window: 5_000, max: 10, pause: 50 };
  const waiting = [get(name, keysOf(0, 5), parameters), get(name, keysOf(1, 4), parameters)];
  await sleep(50);
  await send("/get", { batcher: name, keys: "last", die: "throw", lose: "drop", ...parameters }).answer;
  const start = Date.now();
  await Promise.all(waiting);
  ok(Date.now() - start < 4_000, `${Date.now() - start} ms; without waiting for the window`);
  equal((await stats(name)).sizes, [10]);
});

storm("an origin that fails fails every request of the batch, and the next batch is another", async (name) => {
  origin.failing = true;
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => send("/get", { batcher: name, keys: `k${i}`, window: 50 }).answer),
  );
  origin.failing = false;
  for (const { status, text } of answers)
    ok(status === 502 && /the origin says 503/.test(text), `${status} ${text}; the error`);
  await get(name, ["k"]);
});

// The opener dies; 20 requests have joined its batch, and 5 come later.
const deaths = {
  throws: { die: "throw" },
  "returns early": { die: "return" },
  "returns while the batch is under way": { die: "return later", after: 180 },
};
for (const [how, parameters] of Object.entries(deaths)) {
  for (const lose of [undefined, "drop", "throw"]) {
    const lost = lose === undefined ? "" : `, the batch lost (waitUntil ${lose === "drop" ? "ignored" : "throws"})`;
    storm(`an opener ${how}${lost}`, async (name) => {
      const batch = { window: 120 };
      const opener = send("/get", { batcher: name, keys: "opener", ...batch, ...parameters, ...(lose && { lose }) });
      await sleep(20);
      const joined = Promise.all(Array.from({ length: 20 }, (_, i) => get(name, keysOf(i, 2), batch)));
      await opener.answer;
      await sleep(10);
      await Promise.all([joined, ...Array.from({ length: 5 }, (_, i) => get(name, keysOf(100 + i, 2), batch))]);
      const { sizes, errors } = await stats(name);
      // What a living opener's batch brings nobody asks for again.
      if (lose === undefined)
        equal(
          sizes.reduce((a, b) => a + b, 0),
          51,
          "keys asked for",
        );
      equal(errors, 0);
    });
  }
}
for (const lose of [undefined, "drop"]) {
  storm(`an opener's client leaves${lose ? ", the batch lost" : ""}`, async (name) => {
    const batch = { window: 120 };
    const opener = send("/get", { batcher: name, keys: "opener", ...batch, ...(lose && { lose }) });
    await sleep(20);
    const joined = Promise.all(Array.from({ length: 20 }, (_, i) => get(name, keysOf(i, 2), batch)));
    await sleep(30);
    opener.cancel();
    await joined;
    await get(name, ["later"], batch);
    if (lose === undefined)
      equal(
        (await stats(name)).sizes.reduce((a, b) => a + b, 0),
        42,
        "keys asked for",
      );
  });
}

report("batches", await run({ ...settings(), runtime: "node", timeout: 30_000 }));
worker.stop();
origin.stop();
