import { share } from "./share.mjs";
console.log(JSON.stringify(await share()));
