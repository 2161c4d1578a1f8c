import { createServer } from "node:http";
import { user } from "./users.js";

createServer(async (request, response) => {
  response.end(JSON.stringify(await user(request.url.slice("/users/".length))));
}).listen(Number(process.env.PORT), "127.0.0.1");
