import { exercise } from "./exercise.mjs";
export default {
  async fetch(): Promise<Response> {
    return Response.json(await exercise());
  },
};
