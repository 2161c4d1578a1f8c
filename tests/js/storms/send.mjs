// How storms ask: one request, what came of it, and a way to leave before the answer.

import { request } from "node:http";

/**
 * Sends one request and resolves in any case: `{ status, text, headers }`, with status 0 and the error's text where the
 * connection broke, and `hung` where nothing came for `timeout` milliseconds. `cancel` leaves, and then `answer` says `left`.
 * Each request has a connection of its own, unless there is an agent.
 */
export function send(url, path, parameters = {}, { agent = false, body, timeout = 60_000 } = {}) {
  const target = new URL(path, url);
  for (const [name, value] of Object.entries(parameters)) target.searchParams.set(name, value);
  const { promise: answer, resolve } = Promise.withResolvers();
  const broken = (error) => resolve({ status: 0, text: error.message, headers: {} });
  const call = request(target, { agent, method: body === undefined ? "GET" : "POST" }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (data) => (text += data));
    response.on("end", () => resolve({ status: response.statusCode, text, headers: response.headers }));
    response.on("error", broken);
  });
  call.on("error", broken);
  const timer = setTimeout(() => {
    resolve({ status: 0, text: `no answer within ${timeout} ms`, headers: {}, hung: true });
    call.destroy();
  }, timeout);
  answer.then(() => clearTimeout(timer));
  call.end(body);
  const cancel = () => {
    resolve({ status: 0, text: "left", headers: {}, left: true });
    // With a reset: after a mere end of what it sends, a client may still be listening.
    if (call.socket?.resetAndDestroy) call.socket.resetAndDestroy();
    else call.destroy();
  };
  return { answer, cancel };
}

/** What a runtime that lost a promise writes into its log. */
export const COMPLAINT =
  /had hung|on behalf of a different request|can never settle|never complete|never generate|unhandled|not complete within/i;
