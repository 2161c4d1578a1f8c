// A static server as plain as they come, with the page under a path of its own.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm" };

export async function serve(folder, base) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://here");
    try {
      if (!pathname.startsWith(base)) throw new Error("not ours");
      const path = normalize(pathname.slice(base.length - 1)).replace(/\/$/, "/index.html");
      const body = await readFile(join(folder, path));
      response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${base}`,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
