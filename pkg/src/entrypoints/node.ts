import { readFileSync } from "node:fs";
import * as glue from "../../generated/nearcache_bg.js";
import { host, type Pending } from "../host.js";

const module = new WebAssembly.Module(readFileSync(new URL("../../generated/nearcache_bg.wasm", import.meta.url)));
glue.__wbg_set_wasm(new WebAssembly.Instance(module, { "./nearcache_bg.js": glue }).exports);

host.nextTask = (callback) => setImmediate(callback).unref();
// A tick's callbacks run when no promise job is left, if they are asked for by a promise job.
const resolved = Promise.resolve();
host.afterPromiseJobs = (callback) => void resolved.then(() => process.nextTick(callback));

// A deadline should not keep a process alive whose loads have all come home, and should when one has not:
// timers are unreferenced, and those still needed are referenced when nothing else is left to do.
const alarms = new Set<Pending>();
host.alarmSet = (alarm) => {
  (alarm.timer as NodeJS.Timeout).unref();
  if (alarms.size === 0) process.on("beforeExit", refNeeded);
  alarms.add(alarm);
};
host.alarmOff = (alarm) => {
  alarms.delete(alarm);
  if (alarms.size === 0) process.off("beforeExit", refNeeded);
};

function refNeeded(): void {
  for (const alarm of alarms) {
    if (alarm.isNeeded()) (alarm.timer as NodeJS.Timeout).ref();
  }
}

export * from "../index.js";
