import "./map.mjs";
import "./time.mjs";
import "./bounds.mjs";
import "./iteration.mjs";
import "./loads.mjs";
import "./purges.mjs";
import "./deadlines.mjs";
import "./signals.mjs";
import "./recursion.mjs";
import "./options.mjs";
import "./stats.mjs";
import "./model.mjs";
import "./key.mjs";
import "./wrap.mjs";
import "./decorators.js";
import "./warmup.mjs";
import "./keep-fresh.mjs";

export { equal, run, test } from "../runner.mjs";
