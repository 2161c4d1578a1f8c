import type { Duration, LoadContext } from "./types.js";

/** The context that a loader or writer gets. */
export class Ctx<K, V> implements LoadContext<K, V> {
  ttl: Duration | undefined = undefined;
  staleWhileRevalidate: Duration | undefined = undefined;
  swr: Duration | undefined = undefined;
  staleIfError: Duration | undefined = undefined;
  refreshAhead: number | undefined = undefined;
  jitter: number | undefined = undefined;
  errorBackoff: Duration | undefined = undefined;
  tags: readonly string[] | undefined = undefined;
  bytes: number | undefined = undefined;
  skipped = false;
  #controller: AbortController | undefined = undefined;
  #reason: unknown = undefined;

  constructor(
    readonly key: K,
    readonly stale: V | undefined,
  ) {}

  get signal(): AbortSignal {
    // Most loaders never look, and a controller is dear.
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  skip(): void {
    this.skipped = true;
  }

  abort(reason: unknown): void {
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
