// Responses: what the wasm makes them with, and those that it has no part in.

import { BODILESS, unflatten } from "../../../pkg/src/http/fields.ts";

/** What the wasm calls to answer. `encodeBody`: bodies are as the origin encoded them, whatever the fields say. */
export const host = {
  headers: unflatten,
  respond: (status, headers, body) =>
    new Response(BODILESS.has(status) ? null : body, { status, headers, encodeBody: "manual" }),
  decode: (coding, body) => new Response(body).body.pipeThrough(new DecompressionStream(coding)),
  slice: (bytes, start, end) => bytes.subarray(start, end),
};

const plain = (status, text, detail) =>
  new Response(`nearcache: ${text}\n`, {
    status,
    headers: {
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
      "cache-status": `nearcache; detail=${detail}`,
    },
  });

export const misconfigured = (text) =>
  plain(500, `wrong configuration (wrangler.toml or --var): ${text}`, "configuration");
export const refused = () => plain(400, "the request has no usable host or target", "bad-request");
export const broken = () => plain(500, "the cache has failed and begins anew", "restarted");
/** Here a purge counts; others hear of it later. */
export const untold = (error) => {
  console.error("nearcache: the log of purges:", error);
  const text = "the log of purges can't be reached: it was purged here, and is told to others later";
  return Response.json({ error: text }, { status: 503, headers: { "cache-control": "no-store" } });
};
