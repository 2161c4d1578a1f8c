import { user } from "./users.js";

Bun.serve({
  port: Number(process.env.PORT),
  hostname: "127.0.0.1",
  routes: { "/users/:id": async ({ params }) => Response.json(await user(params.id)) },
});
