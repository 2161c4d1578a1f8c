import { HttpCache } from "nearcache/http";

/** One for the isolate: all its requests share it. */
const http = new HttpCache({
  maxBytes: 32 << 20,
  hardTimeout: "10s",
  defaults: { maxBodyBytes: 1 << 20, heuristic: false, staleIfUnreachable: 0 },
});

export default {
  fetch(request: Request, env: { ORIGIN: string }): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    return http.fetch(env.ORIGIN.replace(/\/+$/, "") + pathname + search, request);
  },
};
