import { cachedUsers } from "./users.mjs";

let calls = 0;
// Stands for what is slow.
const user = cachedUsers(async (id) => ({ id, call: ++calls }));

export default {
  async fetch(request) {
    return Response.json(await user(new URL(request.url).pathname));
  },
};
