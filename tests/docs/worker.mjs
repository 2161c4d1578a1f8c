// A Worker of a document in workerd: twenty requests at once are answered alike, and the origin, if it has one, is asked once.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { bundle, scratch, serve } from "../js/workerd.mjs";

export async function serveOnce(file, answer) {
  const folder = scratch();
  await bundle(file, folder);
  let calls = 0;
  const origin = createServer(async (_, response) => {
    calls++;
    await new Promise((resolve) => setTimeout(resolve, 100));
    response.writeHead(200, { "content-type": "application/json" }).end(answer);
  });
  await new Promise((resolve) => origin.listen(0, "127.0.0.1", resolve));
  const services = { origin: `127.0.0.1:${origin.address().port}` };
  const worker = await serve(folder, { services, outbound: "origin" });
  try {
    const ask = async () => {
      const response = await fetch(`${worker.url}/users/ada`);
      return [response.status, await response.text()];
    };
    const answers = await Promise.all(Array.from({ length: 20 }, ask));
    assert.equal(answers[0][0], 200, answers[0][1]);
    for (const one of answers) assert.deepEqual(one, answers[0]);
    assert.equal(calls, /\bfetch\(`https:/.test(readFileSync(file, "utf8")) ? 1 : 0, "loads are shared");
  } finally {
    worker.stop();
    origin.closeAllConnections();
    origin.close();
  }
}
