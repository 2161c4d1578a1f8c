// The Worker's entry. What a request comes to is decided in the wasm; what takes time is carried out here, where the garbage
// collector frees what a client that left has left behind. (A future in the wasm would stay for good: the runtime cancels a
// request by never settling its promises.)

import { drive, exhaust } from "./drive.js";
import { flatten, misconfigured, refused } from "./fields.js";
import { proxyOf, reviving } from "./instance.js";

export default {
  fetch(request, env, context) {
    return reviving(() => {
      const proxy = proxyOf(env);
      if (typeof proxy === "string") return misconfigured(proxy);
      let url;
      try {
        url = request.url;
      } catch {
        // Two Host fields, for one.
        return refused();
      }
      const answer = proxy.ask(request.method, url, flatten(request.headers));
      return answer instanceof Response ? answer : drive(proxy, answer, request, context);
    });
  },

  async scheduled(_event, env, context) {
    const proxy = proxyOf(env);
    if (typeof proxy === "string") return console.error(`nearcache: wrong configuration: ${proxy}`);
    const targets = proxy.keepFresh();
    // Some at a time, so that they don't take the connections of those who wait.
    const lanes = Array.from({ length: 4 }, async () => {
      for (let target; (target = targets.pop()) !== undefined;) await exhaust(proxy, target, context);
    });
    await Promise.all(lanes);
  },
};
