// A Hono app with the cache in front of its handlers, and `fetch` by way of a cache, in workerd.

import { Hono } from "hono";
import { hono, HttpCache } from "nearcache/http";

const fetched = new HttpCache();
const origin = (c, before) => c.env.ORIGIN + c.req.path.slice(before.length);
const answers = new HttpCache();
let calls = 0;

const app = new Hono();
app.get("/by-fetch/*", (c) => fetched.fetch(origin(c, "/by-fetch") + new URL(c.req.url).search));
app.get("/by-signal/*", (c) => fetched.fetch(origin(c, "/by-signal"), { signal: new AbortController().signal }));
app.get("/aborted/*", async (c) => {
  const controller = new AbortController();
  const { body } = await fetched.fetch(origin(c, "/aborted"), { signal: controller.signal });
  const reader = body.getReader();
  await reader.read();
  controller.abort(new Error("enough"));
  try {
    while (!(await reader.read()).done);
  } catch ({ message }) {
    return c.text(message);
  }
  return c.text("no error");
});
app.get("/stats", (c) => c.json({ fetched: fetched.stats(), answers: answers.stats(), calls }));
app.post("/purge", (c) => c.text(String(fetched.purge({ everything: true }) + answers.purge({ everything: true }))));
app.use(hono(answers, app));
app.get("/app/slow", async (c) => {
  await new Promise((resolve) => setTimeout(resolve, 200));
  c.header("cache-control", "max-age=60");
  return c.text(`call ${++calls}`);
});
app.get("/app/own", (c) => c.text(`call ${++calls}`, 200, { "cache-control": "private" }));

export default app;
