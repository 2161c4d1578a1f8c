// What the Worker's tests ask with.

import http from "node:http";

export const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
export const agent = new http.Agent({ keepAlive: true, maxSockets: 1_000 });
let next = 0;

/** A path nobody has asked for, with what the origin should do about it. */
export function target(options = {}, path = `/t${++next}`) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(options)) {
    for (const one of [value].flat()) query.append(name, one);
  }
  return `${path}?${query}`;
}

/** node:http, because fetch hides and adds too much. */
export function get(server, target, { method = "GET", headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request(`${server.url}${target}`, { method, headers, agent }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        const cache = response.headers["cache-status"] ?? "";
        resolve({ status: response.statusCode, headers: response.headers, raw: response.rawHeaders, text, cache });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

export const path = (target) => target.split("?")[0];
