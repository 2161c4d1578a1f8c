// The Worker's entry. What a request comes to is decided in the wasm; what takes time is carried out in pkg/src/http, where the garbage
// collector frees what a client that left has left behind. (A future in the wasm would stay for good: the runtime cancels a
// request by never settling its promises.)

import { drive } from "../../../pkg/src/http/drive.ts";
import { flatten } from "../../../pkg/src/http/fields.ts";
import { edge } from "./edge.js";
import { failed, proxyOf, reviving, trips } from "./instance.js";
import { misconfigured, refused, untold } from "./responses.js";

export { LeaseObject, PurgeLogObject, StoreObject } from "./edge.js";

/** The longest body of an operator's request. */
const MAX_OPERATOR_BODY = 1 << 20;

export default {
  fetch(request, env, context) {
    return reviving(() => {
      const proxy = proxyOf(env);
      if (typeof proxy === "string") return misconfigured(proxy);
      const behind = edge?.catchUp();
      return behind === undefined
        ? answer(proxy, request, env, context)
        : behind.then(() => reviving(() => answer(proxyOf(env), request, env, context)));
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

function answer(proxy, request, env, context) {
  let url;
  try {
    url = request.url;
  } catch {
    // Two Host fields, for one.
    return refused();
  }
  const answer = proxy.ask(request.method, url, flatten(request.headers));
  if (answer instanceof Response) return answer;
  return "operate" in answer ? operate(answer, request, env) : drive(answer, ways(context, request.body));
}

const ways = (context, body) => ({
  trips,
  edge,
  origin: ({ url, ...request }) => fetch(url, { ...request, redirect: "manual", encodeResponseBody: "manual" }),
  body,
  waitUntil: (promise) => context.waitUntil(promise),
  failed,
});

async function operate(operation, request, env) {
  const text = await textOf(request.body);
  if (text === undefined) return reviving(() => operation.tooLong(MAX_OPERATOR_BODY));
  if (operation.isMessages() && env.PURGE_LOG) return publish(env.PURGE_LOG, text);
  const response = reviving(() => operation.operate(text));
  try {
    // What else is still to be told has nothing to do with this answer.
    if (operation.isPurge() && response.ok) await edge?.tell();
  } catch (error) {
    return untold(error);
  }
  return operation.isMetrics() && edge ? longer(response, edge.metrics()) : response;
}

/** A body as text, unless it is too long. */
async function textOf(body) {
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.byteLength;
    if (length > MAX_OPERATOR_BODY) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

const longer = async (response, text) => new Response((await response.text()) + text, response);

/** Hands messages of invalidation to the log, which says what is wrong with them. */
async function publish(namespace, body) {
  try {
    const log = namespace.get(namespace.idFromName("purges"));
    return await log.fetch("https://purge-log/", { method: "POST", body });
  } catch (error) {
    return untold(error);
  }
}

/** Loads a target anew, and lets its answer go. */
async function exhaust(proxy, target, context) {
  const answer = proxy.refresh(target);
  const response = answer instanceof Response ? answer : await drive(answer, ways(context, null));
  if (response.body) await response.body.pipeTo(new WritableStream()).catch(() => {});
  if (!response.ok) console.warn(`nearcache: KEEP_FRESH ${target}: ${response.status}`);
}
