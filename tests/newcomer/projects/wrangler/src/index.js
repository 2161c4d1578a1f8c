import { user } from "./users.js";

export default {
  async fetch(request) {
    return Response.json(await user(new URL(request.url).pathname.slice("/users/".length)));
  },
};
