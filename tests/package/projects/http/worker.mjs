import * as http from "nearcache/http";
import { use } from "./use.mjs";

export default {
  fetch: async () => Response.json(await use(http)),
};
