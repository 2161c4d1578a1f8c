// What HTTP lets a shared cache do (RFC 9111), read strictly: when in doubt, not shared.

/** Requests whose answer may be for the asker alone, and those for something other than the whole page. */
const PERSONAL = ["authorization", "cookie", "range", "upgrade"];
/** Left out of a request whose answer is for everyone, which must not be "you have it already". */
const CONDITIONS = ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range"];
/** Belong to one connection, or to the encoding that the body came in. */
const OF_THE_HOP = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "content-length",
  "content-encoding",
];
const STATUSES = new Set([200, 301, 308, 404, 410]);

export function isPersonal(request: Request): boolean {
  return PERSONAL.some((name) => request.headers.has(name));
}

/** Asks the origin. `shared`: for everyone. `within`: at most so many milliseconds until the headers are there. */
export async function ask(
  url: string,
  request: Request,
  how: { signal?: AbortSignal; shared?: true; within?: number },
) {
  const headers = new Headers(request.headers);
  if (how.shared) {
    for (const name of CONDITIONS) headers.delete(name);
    headers.set("accept-encoding", "gzip"); // which fetch decodes, so that the bytes suit everyone
  }
  const late = new AbortController();
  const timer = how.within && setTimeout(() => late.abort(new DOMException("too late", "TimeoutError")), how.within);
  const { method, body } = request;
  const signal = how.signal ?? late.signal;
  try {
    return await fetch(url, { method, headers, body, signal, redirect: "manual" });
  } finally {
    if (timer) clearTimeout(timer);
  }
}

/** For how many milliseconds everyone may have this answer; 0 if it is the asker's own. */
export function shareableFor({ status, headers }: Response): number {
  const control = headers.get("cache-control") ?? "";
  if (!STATUSES.has(status) || headers.has("set-cookie") || /no-store|no-cache|private/i.test(control)) return 0;
  const vary = headers.get("vary") ?? "accept-encoding";
  if (vary.toLowerCase() !== "accept-encoding") return 0;
  const seconds = /(?:^|[\s,])s-maxage="?(\d+)/i.exec(control) ?? /(?:^|[\s,])max-age="?(\d+)/i.exec(control);
  return seconds ? Math.max(0, Number(seconds[1]) - Number(headers.get("age") ?? 0)) * 1000 : 0;
}

/** Those that still hold for the body as `fetch` decoded it. */
export function headersToKeep({ headers }: Response): [string, string][] {
  return [...headers].filter(([name]) => !OF_THE_HOP.includes(name));
}

/** The whole body, or `undefined` if it is larger; then `response` still has all of it to stream. */
export async function bodyUpTo(max: number, response: Response): Promise<ArrayBuffer | undefined> {
  if (Number(response.headers.get("content-length") ?? 0) > max) return undefined;
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.clone().body ?? []) {
    size += part.byteLength;
    if (size > max) return undefined;
    parts.push(part);
  }
  await response.body?.cancel();
  return new Blob(parts).arrayBuffer();
}
