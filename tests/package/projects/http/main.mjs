import * as http from "nearcache/http";
import { use } from "./use.mjs";

console.log(JSON.stringify(await use(http)));
