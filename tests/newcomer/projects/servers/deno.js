import { user } from "./users.js";

Deno.serve({ port: Number(Deno.env.get("PORT")), hostname: "127.0.0.1" }, async (request) =>
  Response.json(await user(new URL(request.url).pathname.slice("/users/".length))),
);
