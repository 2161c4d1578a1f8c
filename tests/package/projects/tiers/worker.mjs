import { share } from "./share.mjs";
export default {
  async fetch() {
    return Response.json(await share());
  },
};
