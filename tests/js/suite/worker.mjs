// Runs the suite inside a request. What happens at global scope, outside any request, is looked at there.

import { NearCache } from "nearcache";
import { equal, run, test } from "./all.mjs";

const early = new NearCache({ hardTimeout: "30s" }).set("set", 1);
const sync = early.getOrSet("sync", () => 2);
const led = early.getOrSet("async", async () => 3);
const followed = early.getOrSet("async", async () => 4);
const failed = early.getOrSet("fails", async () => Promise.reject(new Error("no"))).catch((error) => error.message);

test("a cache may be filled at global scope, where a Worker has neither timers nor waitUntil", async () => {
  equal([early.get("set"), await sync, await led, await followed, await failed], [1, 2, 3, 3, "no"]);
  equal([early.get("async"), early.stats().inFlight], [3, 0]);
});

export default {
  async fetch(request) {
    const { seed, only } = await request.json();
    return Response.json(await run({ seed, only, runtime: "workerd" }));
  },
};
