// An origin that does what the URL tells it: `?delay=300&status=200&size=100&h=Cache-Control:max-age=60&die=head`.
// `fails=2,3` answers those calls of the path with 503 (or `failstatus`), `slow=2:500` takes 500 ms for the second one.
// Every answer's body begins with the number of the call, so that two answers are never mistaken for each other.

import http from "node:http";

export async function startOrigin() {
  const calls = new Map();
  let number = 0;
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, "http://origin");
    const mine = ++number;
    const call = (calls.get(url.pathname) ?? 0) + 1;
    calls.set(url.pathname, call);
    const query = url.searchParams;
    const fails = (query.get("fails") ?? "").split(",").includes(`${call}`);
    const [slow, slowness] = (query.get("slow") ?? "").split(":");
    const answer = () => {
      if (query.get("die") === "head" || (fails && query.get("failstatus") === "die")) return request.socket.destroy();
      response.statusCode = Number(fails ? (query.get("failstatus") ?? 503) : (query.get("status") ?? 200));
      response.setHeader("Date", new Date().toUTCString());
      for (const field of fails ? [] : query.getAll("h")) {
        const at = field.indexOf(":");
        response.appendHeader(field.slice(0, at), field.slice(at + 1));
      }
      const echo = query.get("echo");
      let body = `call ${mine} ${request.method} ${echo ? (request.headers[echo] ?? "-") : ""}\n`;
      body = body.padEnd(Number(query.get("size") ?? 0), ".");
      if (query.get("die") === "body") {
        response.setHeader("Content-Length", body.length + 100);
        response.write(body);
        return setTimeout(() => request.socket.destroy(), 50);
      }
      if (!query.has("chunked")) response.setHeader("Content-Length", Buffer.byteLength(body));
      response.end(request.method === "HEAD" ? undefined : body);
    };
    const delay = Number(slow === `${call}` ? slowness : (query.get("delay") ?? 0));
    if (query.get("delay") === "never") return;
    if (delay === 0) answer();
    else setTimeout(answer, delay);
  });
  server.keepAliveTimeout = 1_000;
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  return {
    url: `http://127.0.0.1:${port}`,
    calls: (path) => calls.get(path) ?? 0,
    callsUnder: (prefix) => [...calls].reduce((sum, [path, count]) => sum + (path.startsWith(prefix) ? count : 0), 0),
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
