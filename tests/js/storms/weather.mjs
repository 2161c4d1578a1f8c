// The origin of long storms. A key's first letter says how it behaves: `c` calm, `s` short-lived, `f` faulty (fails, hangs
// up or answers), `h` hangs. Each answer is the key and the number of the key's call.

import { createServer } from "node:http";
import { randomFrom } from "../runner.mjs";

const FAILING = 50;
const HANGING_UP = 20;

/** `delay`: how long an answer takes at least, in milliseconds; `write`: what it looks like. */
export async function startWeather(seed, { delay = 5, write = (text) => text } = {}) {
  const random = randomFrom(seed);
  const weather = { calls: new Map() };
  const server = createServer((request, response) => {
    const key = request.url.slice(1);
    const call = (weather.calls.get(key) ?? 0) + 1;
    weather.calls.set(key, call);
    const kind = key[0];
    if (kind === "h") return;
    const fate = kind === "f" ? random(100) : 100;
    const answer = () => {
      if (fate < HANGING_UP) return void request.socket.destroy();
      const lifetime = kind === "c" ? 60 : 1;
      response.writeHead(fate < FAILING ? 503 : 200, {
        "cache-control": `max-age=${lifetime}`,
        // HTTP knows whole seconds only; a loader may take this.
        "x-lifetime": kind === "c" ? 60_000 : 100,
      });
      response.end(write(`${key} call ${call}`));
    };
    setTimeout(answer, delay + random(20));
  });
  // A connection that ends between two requests makes the runtime ask again, and that would be counted.
  server.keepAliveTimeout = 600_000;
  await new Promise((resolve) => server.listen(0, "127.0.0.1", 4096, resolve));
  weather.address = `127.0.0.1:${server.address().port}`;
  weather.stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return weather;
}
