// Plugins: objects with hooks, and what is refused as one.

import { NearCache } from "nearcache";
import { equal, handClock, test, throws } from "../runner.mjs";

const EVENTS = ["hit", "stale", "miss", "coalesced", "load", "error", "insert", "evict", "expire", "batch"];
/** Warns of loads that take long. */
function slowLoads(limit, warn) {
  return { load: ({ key, duration }) => duration > limit && warn(`${key} took ${duration} ms`) };
}

test("a plugin that warns of slow loads is an object with one hook", async () => {
  const clock = handClock();
  const warnings = [];
  const cache = new NearCache({ clock, plugins: [slowLoads(100, (text) => warnings.push(text))] });
  await cache.getOrSet("quick", () => clock.pass(100));
  await cache.getOrSet("slow", () => clock.pass(101));
  equal(warnings, ["slow took 101 ms"]);
});

test("a plugin keeps its this, and may be an object of a class", () => {
  class Counter {
    #hits = 0;
    hit() {
      this.#hits++;
    }
    get hits() {
      return this.#hits;
    }
  }
  const counter = new Counter();
  const cache = new NearCache({ plugins: [counter] }).set("k", 1);
  cache.get("k");
  const end = cache.use(new Counter());
  cache.get("k");
  end();
  equal(counter.hits, 2);
});

test("a plugin may have fields and methods that are no hooks", () => {
  class Metrics {
    hits = 0;
    names = ["a"];
    onReport = () => {};
    hit() {
      this.hits++;
    }
    misses() {
      return 0;
    }
    miss() {}
    report() {
      return this.hits;
    }
    get error() {
      throw new Error("not to be read before there is one");
    }
  }
  const metrics = new (class extends Metrics {
    get error() {
      return undefined;
    }
  })();
  const plain = { hits: 0, hit: () => plain.hits++, version: "1", reset: () => {} };
  new NearCache({ plugins: [metrics, plain, {}] }).set("k", 1).get("k");
  equal([metrics.report(), plain.hits], [1, 1]);
});

test("a plugin's hook with a slip in its name is an error, also in a class", () => {
  const cache = new NearCache();
  class Slip {
    hit() {}
    expired() {}
  }
  for (const [plugin, message] of [
    [new Slip(), /^expired: unknown event, did you mean expire\? Known are hit, /],
    [{ hit() {}, onMiss() {} }, /^onMiss: unknown event, did you mean miss\?/],
    [{ evicted() {} }, /^evicted: unknown event, did you mean evict\?/],
    [{ start() {}, stop() {} }, /^start: unknown event\. Known are hit, /],
  ]) {
    throws(() => cache.use(plugin), { code: "ERR_OPTION", message });
  }
});

test("wrong hooks and plugins are errors that name them", () => {
  const cache = new NearCache();
  const names = EVENTS.join(", ");
  throws(() => cache.on("hits", () => {}), {
    code: "ERR_OPTION",
    message: `hits: unknown event, did you mean hit? Known are ${names}`,
  });
  for (const hook of [undefined, null, 5, {}])
    throws(() => cache.on("hit", hook), { code: "ERR_OPTION", message: /got .*, wants a function/ });
  throws(() => cache.use({ hit: 5 }), { code: "ERR_OPTION", message: "hit: got 5, wants a function" });
  throws(() => cache.use(null), { code: "ERR_OPTION", message: "plugin: got null, wants an object" });
  throws(() => new NearCache({ plugins: {} }), {
    code: "ERR_OPTION",
    message: "plugins: got an object, wants an array of plugins",
  });
  throws(() => new NearCache({ plugins: [{ hot: () => {} }] }), {
    code: "ERR_OPTION",
    message: /^hot: unknown event, did you mean hit\?/,
  });
  cache.set("k", 1).get("k");
});
