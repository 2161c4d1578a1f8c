const http = require("nearcache/http");

import("./use.mjs").then(async ({ use }) => console.log(JSON.stringify(await use(http))));
