// A line between a client and a server, which counts what goes over it, and can be made longer.

import { once } from "node:events";
import net from "node:net";

/**
 * Relays connections to a port. `delay`: how long each byte takes, in ms, so that a round trip takes twice as long. Counts
 * connections, and round trips: pieces of a client's that it sent after it had seen a reply, or had sent nothing before.
 */
export async function relay(port, { delay = 0 } = {}) {
  const counts = { connections: 0, trips: 0, open: 0 };
  const server = net.createServer((client) => {
    counts.connections++;
    counts.open++;
    client.setNoDelay();
    let asks = false;
    const behind = net.connect(port, "127.0.0.1").setNoDelay();
    pass(client, behind, delay, () => {
      if (!asks) counts.trips++;
      asks = true;
    });
    pass(behind, client, delay, () => (asks = false));
    client.once("close", () => counts.open--);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: server.address().port, counts, close: () => server.close() };
}

function pass(from, to, delay, onData) {
  const later = (act) => (delay === 0 ? act() : setTimeout(act, delay));
  from.on("data", (bytes) => {
    onData();
    later(() => to.writable && to.write(bytes));
  });
  from.on("error", () => to.destroy());
  from.on("close", () => later(() => to.destroy()));
  from.on("end", () => later(() => to.end()));
}
