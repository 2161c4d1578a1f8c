// The Worker's entry. What a request comes to is decided in the wasm; what takes time is carried out in pkg/src/http, where the garbage
// collector frees what a client that left has left behind. (A future in the wasm would stay for good: the runtime cancels a
// request by never settling its promises.)

import { drive } from "../../../pkg/src/http/drive.ts";
import { flatten } from "../../../pkg/src/http/fields.ts";
import { failed, proxyOf, reviving, trips } from "./instance.js";
import { misconfigured, refused } from "./responses.js";

/** The longest body of an operator's request. */
const MAX_OPERATOR_BODY = 1 << 20;

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
      if (answer instanceof Response) return answer;
      return "operate" in answer ? operate(answer, request) : drive(answer, ways(context, request.body));
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

const ways = (context, body) => ({
  trips,
  origin: ({ url, ...request }) => fetch(url, { ...request, redirect: "manual", encodeResponseBody: "manual" }),
  body,
  waitUntil: (promise) => context.waitUntil(promise),
  failed,
});

async function operate(operation, request) {
  const length = Number(request.headers.get("content-length") ?? 0);
  const text = length > MAX_OPERATOR_BODY ? "" : await request.text();
  return reviving(() => operation.operate(text));
}

/** Loads a target anew, and lets its answer go. */
async function exhaust(proxy, target, context) {
  const answer = proxy.refresh(target);
  const response = answer instanceof Response ? answer : await drive(answer, ways(context, null));
  if (response.body) await response.body.pipeTo(new WritableStream()).catch(() => {});
  if (!response.ok) console.warn(`nearcache: KEEP_FRESH ${target}: ${response.status}`);
}
