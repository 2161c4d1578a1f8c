// Where `require` takes no ES modules, as in Node before 20.19 and in Jest.
const { exercise } = require("./exercise.cjs");
const { initSync, NearCache } = require("nearcache/init");
initSync(require("node:fs").readFileSync(require.resolve("nearcache/nearcache.wasm")));
const handed = new NearCache({ maxEntries: 1 }).set("a", 1).get("a");
exercise().then((result) => console.log(JSON.stringify({ result, handed })));
