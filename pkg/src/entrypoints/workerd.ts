import { waitUntil } from "cloudflare:workers";
import module from "../../generated/nearcache_bg.wasm";
import * as glue from "../../generated/nearcache_bg.js";
import { host } from "../host.js";

glue.__wbg_set_wasm(new WebAssembly.Instance(module, { "./nearcache_bg.js": glue }).exports);
host.requestBound = true;
host.keepAlive = waitUntil;

export * from "../index.js";
