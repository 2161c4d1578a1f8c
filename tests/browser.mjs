// Headless Chromium, and a static server as plain as they come.

import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { chromium } from "playwright-core";

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
};

/** Starts Chromium with the arguments in webdriver.json. `CHROMIUM` names it. */
export function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (!existsSync(executablePath)) {
    throw new Error(`there is no ${executablePath}: install Chromium, or name it in CHROMIUM`);
  }
  const { args } = JSON.parse(readFileSync(new URL("../webdriver.json", import.meta.url), "utf8"))[
    "goog:chromeOptions"
  ];
  return chromium.launch({ executablePath, args });
}

/**
 * Serves a folder under the path `base`. `types` go before the usual ones, `pages` before files: HTML by path, for what no file
 * is there.
 */
export async function serve(folder, { base = "/", types = {}, pages = {} } = {}) {
  const typeOf = { ...TYPES, ...types };
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURI(new URL(request.url, "http://here").pathname));
    const send = (body, type = "application/octet-stream") =>
      void response.writeHead(200, { "content-type": type }).end(body);
    if (path in pages) return send(pages[path], TYPES[".html"]);
    const file = join(folder, path.slice(base.length - 1).replace(/\/$/, "/index.html"));
    const body = path.startsWith(base) ? await readFile(file).catch(() => undefined) : undefined;
    if (body === undefined) return void response.writeHead(404).end();
    send(body, typeOf[extname(file)]);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${base.slice(0, -1)}`,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
