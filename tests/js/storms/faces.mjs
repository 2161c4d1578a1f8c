// The two faces of nearcache, and other ways to share, as long storms see them: a Worker in raw workerd, how to ask it for a
// key, and what an answer is worth.

import { copyFileSync } from "node:fs";
import { Agent } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle, root, scratch, serve } from "../workerd.mjs";
import { send } from "./send.mjs";

/** After so long without an answer a request hangs: much longer than any load may take. */
const HUNG = 8_000;
const HARD_TIMEOUT = 1_500;

/** The class, or another sharer of sharers.mjs, whose loads are kept by `waitUntil` unless `keep` is false. The class needs no help. */
export async function startClass(
  weather,
  { sharer = "nearcache", keep = !sharer.startsWith("nearcache"), flags } = {},
) {
  const folder = scratch();
  await bundle(fileURLToPath(new URL("face.mjs", import.meta.url)), folder);
  const worker = await serve(folder, { services: { ORIGIN: weather.address }, flags });
  const agent = new Agent({ keepAlive: true });
  const always = { sharer, ...(keep && { keep: "yes" }) };
  let token = 0;
  return {
    name: sharer,
    log: worker.log,
    /** Only here requests can be told to die, or to leave by a signal. */
    mortal: true,
    ask(key, how = {}) {
      const body = `token ${++token}`;
      const options = { body, timeout: HUNG, agent: how.cancelled ? false : agent };
      const { answer, cancel } = send(worker.url, "/", { ...always, key, ...how }, options);
      return { answer: answer.then((got) => judgeClass(got, key, how, body)), cancel };
    },
    async inFlight() {
      const { text } = await send(worker.url, "/", { sharer, figures: "yes" }).answer;
      return JSON.parse(text).inFlight;
    },
    stop: () => (agent.destroy(), worker.stop()),
  };
}

/** The built Rust Worker. */
export async function startBuilt(weather, { flags } = {}) {
  const folder = scratch();
  copyFileSync(join(root, "build/worker/index.js"), join(folder, "main.js"));
  for (const name of ["index_bg.wasm", "tiers_bg.wasm"])
    copyFileSync(join(root, "build/worker", name), join(folder, name));
  const worker = await serve(folder, {
    services: { net: weather.address },
    outbound: "net",
    variables: { ORIGIN: "http://origin", HARD_TIMEOUT: `${HARD_TIMEOUT}ms`, ADMIN_TOKEN: "the-operator-s-token" },
    flags,
  });
  const agent = new Agent({ keepAlive: true });
  return {
    name: "Worker",
    log: worker.log,
    mortal: false,
    ask(key, how = {}) {
      const { answer, cancel } = send(
        worker.url,
        `/${key}`,
        {},
        { timeout: HUNG, agent: how.cancelled ? false : agent },
      );
      return { answer: answer.then((got) => judgeBuilt(got, key)), cancel };
    },
    async inFlight() {
      const headers = { authorization: "Bearer the-operator-s-token" };
      const page = await (await fetch(`${worker.url}/_nearcache/metrics`, { headers })).text();
      return Number(/^nearcache_loads_in_flight(?:\{.*\})? (\d+)$/m.exec(page)[1]);
    },
    stop: () => (agent.destroy(), worker.stop()),
  };
}

// A verdict is one of `right`, `gone` (the request left or died as told), `refused` (by an origin that did fail), or a defect.

export const GOOD = ["right", "gone", "refused"];

function judgeClass({ status, text, headers, left, hung }, key, { die, leave }, body) {
  if (left) return "gone";
  if (hung) return "hung";
  if (status === 200) return text.startsWith(`${key} call `) && text.endsWith(`|${body}`) ? "right" : "wrong";
  if (die === "throw" && status === 500) return "gone";
  if (!headers["x-told"]) return bare(status, text);
  if (die !== undefined && status === 299) return "gone";
  if (leave !== undefined && /^(TimeoutError|AbortError)/.test(text)) return "gone";
  if (key[0] === "f" && /the origin says 503|connection lost/i.test(text)) return "refused";
  if (key[0] === "h" && /ERR_TIMEOUT/.test(text)) return "refused";
  return `error: ${text.slice(0, 120)}`;
}

function judgeBuilt({ status, text, headers, left, hung }, key) {
  if (left) return "gone";
  if (hung) return "hung";
  if (status === 200) return new RegExp(`^${key} call \\d+$`).test(text) ? "right" : "wrong";
  if (!headers["cache-status"]) return bare(status, text);
  if (key[0] === "f" && (status === 503 || status === 502)) return "refused";
  if (key[0] === "h" && status === 504) return "refused";
  return `error: ${status} ${headers["cache-status"]} ${text.slice(0, 80)}`;
}

const bare = (status, text) => (status === 500 ? "bare 500" : `broken: ${status} ${text.slice(0, 80)}`);
