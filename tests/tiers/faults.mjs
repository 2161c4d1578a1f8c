// Bindings that do as they are told: each call goes wrong in the way that is set, or goes on to the real one.

const rubbish = () => crypto.getRandomValues(new Uint8Array(200));
const errorOf = (message, more) => Object.assign(new Error(message), more);
const broken = async () => {
  throw errorOf("Network connection lost.");
};

/** What calls of each binding come to where it fails: errors as the platform words them. */
const READS = {
  kv: { fails: "KV GET failed: 429 Too Many Requests", rubbish: () => rubbish().buffer },
  "cache-api": {
    fails: "Cache API: internal error",
    rubbish: () => new Response(rubbish()),
    torn: () => ({ arrayBuffer: broken }),
  },
  r2: {
    fails: "get: We encountered an internal error. Please try again. (10001)",
    rubbish: () => ({ arrayBuffer: async () => rubbish().buffer, customMetadata: {} }),
    torn: () => ({ arrayBuffer: broken, customMetadata: {} }),
  },
  object: {
    fails: "Durable Object is overloaded. Requests queued for too long.",
    rubbish: (names) => names.map(rubbish),
  },
};
const FULL = {
  kv: "KV PUT failed: 413 Value length exceeds limit of 26214400",
  "cache-api": "Unable to store response: 413",
  r2: "put: Reduce your concurrent request rate for the same object. (10058)",
  object: "database or disk is full: SQLITE_FULL",
};
const READING = new Set(["get", "match", "getMany"]);

/** The fault of each kind of binding, if it has one now. */
export const faults = {};

async function call(kind, binding, method, args) {
  const fault = faults[kind];
  const reads = READING.has(method);
  const go = () => binding[method](...args);
  switch (fault) {
    case "fails":
      throw errorOf(READS[kind].fails, { overloaded: kind === "object" });
    case "hangs":
      return new Promise(() => {});
    case "slow":
      await new Promise((resolve) => setTimeout(resolve, 400));
      return go();
    case "full":
      if (reads) return go();
      throw errorOf(FULL[kind]);
    case "rubbish":
    case "torn":
      return reads ? READS[kind][fault](...args) : go();
    default:
      return go();
  }
}

/** A binding with the faults of its kind. */
export function faulty(kind, binding) {
  return new Proxy(binding, {
    get(target, method) {
      // A namespace of objects gives stubs, without a call.
      if (kind === "object" && method === "get") return (id) => faulty("stub", target.get(id));
      if (kind === "object") return target[method].bind(target);
      return (...args) => call(kind === "stub" ? "object" : kind, target, method, args);
    },
  });
}

/** Which faults a kind can have. */
export const faultsOf = (kind) => ["fails", "hangs", "slow", "full", ...Object.keys(READS[kind]).slice(1)];
