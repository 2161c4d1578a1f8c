// An origin over HTTP that counts what it is asked, for paths with a meaning.

import { createServer } from "node:http";
import { gzipSync } from "node:zlib";

export async function startOrigin() {
  const calls = new Map();
  let down = false;
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://origin");
    const call = (calls.get(request.url) ?? 0) + 1;
    calls.set(request.url, call);
    const delay = Number(searchParams.get("delay") ?? 0);
    if (delay) await new Promise((resolve) => setTimeout(resolve, delay));
    if (down) return response.writeHead(503).end("down\n");
    const age = searchParams.get("age") ?? 60;
    response.setHeader("cache-control", `max-age=${age}`);
    const [, kind] = pathname.split("/");
    switch (kind) {
      case "etag":
        response.setHeader("etag", '"one"');
        if (request.headers["if-none-match"] === '"one"') return response.writeHead(304).end();
        return response.end(`etag, call ${call}\n`);
      case "vary":
        response.setHeader("vary", "x-who");
        return response.end(`for ${request.headers["x-who"]}\n`);
      case "sie":
        response.setHeader("cache-control", `max-age=${age}, stale-if-error=600`);
        response.setHeader("etag", `"${call}"`);
        return response.end(`sie, call ${call}\n`);
      case "swr":
        response.setHeader("cache-control", `max-age=${age}, stale-while-revalidate=600`);
        response.setHeader("etag", `"${call}"`);
        return response.end(`swr, call ${call}\n`);
      case "gzip":
        response.setHeader("content-encoding", "gzip");
        response.setHeader("vary", "accept-encoding");
        return response.end(gzipSync(`gzip, call ${call}\n`.repeat(100)));
      case "tag":
        response.setHeader("cache-tag", "all, some");
        return response.end(`tag, call ${call}\n`);
      case "raw": {
        // What no field may be, and no server here would write.
        const fields = Buffer.from(searchParams.get("field"), "latin1");
        const head = "HTTP/1.1 200 OK\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nConnection: close\r\n";
        const body = `raw, call ${call}`;
        const { socket } = request;
        socket.write(head);
        socket.write(fields);
        return socket.end(`\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      }
      case "moved":
        return response.writeHead(301, { location: `/page?from=${call}` }).end();
      case "told":
        response.setHeader("content-length", 200_000);
      // Falls through.
      case "large":
        response.write("x".repeat(100_000));
        return setTimeout(() => response.end("y".repeat(100_000)), 50);
      case "echo": {
        response.setHeader("cache-control", "no-store");
        let body = "";
        for await (const chunk of request) body += chunk;
        return response.end(`${request.method} ${body} ${request.headers.cookie ?? "no cookie"}`);
      }
      default:
        return response.end(`${kind}, call ${call}\n`);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    calls: (path) => calls.get(path) ?? 0,
    fail: (is = true) => (down = is),
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
