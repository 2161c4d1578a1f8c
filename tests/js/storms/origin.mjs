// A real origin on loopback: slow, counts its calls, and can be told to fail or to hang.

import { createServer } from "node:http";

export async function startOrigin(delay) {
  const origin = { calls: new Map(), gone: 0, failing: false, hanging: false };
  const server = createServer((request, response) => {
    if (request.url === "/after") return void response.end("after");
    const name = decodeURIComponent(request.url.split("/")[1]);
    const call = (origin.calls.get(name) ?? 0) + 1;
    origin.calls.set(name, call);
    response.once("close", () => response.writableFinished || origin.gone++);
    const { failing, hanging } = origin;
    if (hanging) return;
    setTimeout(() => response.writeHead(failing ? 503 : 200).end(`${request.url} call ${call}`), delay);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", 4096, resolve));
  origin.address = `127.0.0.1:${server.address().port}`;
  origin.stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return origin;
}
