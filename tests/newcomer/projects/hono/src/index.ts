import { Hono } from "hono";
import { NearCache } from "nearcache";

let loads = 0;
const users = new NearCache<string, { id: string; loads: number }>({ maxEntries: 1_000, ttl: "1m" });

const app = new Hono();
app.get("/users/:id", async (c) => {
  const user = await users.getOrSet(c.req.param("id"), async (id) => {
    await scheduler.wait(200); // a slow origin
    return { id, loads: ++loads };
  });
  return c.json(user);
});

export default app;
