// Runs the suite inside a request. What happens at global scope, outside any request, is looked at there.

import { NearCache } from "nearcache";
import { equal, sleep, test } from "../runner.mjs";
import { run } from "./all.mjs";

const early = new NearCache({ hardTimeout: "30s" }).set("set", 1);
const sync = early.getOrSet("sync", () => 2);
const led = early.getOrSet("async", async () => 3);
const followed = early.getOrSet("async", async () => 4);
const failed = early.getOrSet("fails", async () => Promise.reject(new Error("no"))).catch((error) => error.message);

test("a cache may be filled at global scope, where a Worker has neither timers nor waitUntil", async () => {
  equal([early.get("set"), await sync, await led, await followed, await failed], [1, 2, 3, 3, "no"]);
  equal([early.get("async"), early.stats().inFlight], [3, 0]);
});

let rounds = 0;
let ended = 0;
const loader = async () => {
  await sleep(20);
  if (++rounds === 3) throw new Error("no");
  return rounds;
};
const keeper = early.keepFresh([{ key: "kept", loader }], { every: "1m" });
let self;

const EVENTS = { realTime: "scheduled events are the runtime's" };

test("a keeper's rounds run in scheduled events, and requests get what they bring", EVENTS, async () => {
  // It answers before what the handler gave to waitUntil has ended.
  const event = async () => {
    const wanted = ended + 1;
    await self.scheduled({ scheduledTime: new Date(), cron: "* * * * *" });
    while (ended < wanted) await sleep(5);
  };
  const got = [early.get("kept")];
  for (let i = 0; i < 4; i++) {
    await event();
    got.push(early.get("kept"));
  }
  equal(got, [undefined, 1, 2, 2, 4]);
  await Promise.all([event(), event()]);
  await sleep(50);
  equal([early.get("kept"), early.stats().inFlight], [5, 0], "two at once share their load");
});

export default {
  async scheduled(event, env, ctx) {
    ctx.waitUntil(keeper.run().finally(() => ended++));
  },
  async fetch(request, env, ctx) {
    self = ctx.exports.default;
    const { seed, only } = await request.json();
    return Response.json(await run({ seed, only, runtime: "workerd" }));
  },
};
