import { type Duration, unknown } from "../options/options.js";
import type { LoadContext } from "../types/loader.js";

/** The context that a loader or writer gets. */
export class Context<K, V> implements LoadContext<K, V> {
  ttl: Duration | undefined = undefined;
  idleTtl: Duration | undefined = undefined;
  staleWhileRevalidate: Duration | undefined = undefined;
  swr: Duration | undefined = undefined;
  staleIfError: Duration | undefined = undefined;
  refreshAhead: number | undefined = undefined;
  jitter: number | undefined = undefined;
  errorBackoff: Duration | undefined = undefined;
  age: Duration | undefined = undefined;
  tags: readonly string[] | undefined = undefined;
  bytes: number | undefined = undefined;
  skipped = false;
  #controller: AbortController | undefined = undefined;
  #reason: unknown = undefined;

  constructor(
    readonly key: K,
    readonly stale: V | undefined,
    readonly attempt = 1,
    readonly background = false,
  ) {}

  get signal(): AbortSignal {
    // Most loaders never look, and a controller is dear.
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Whether `signal` is, or would be, aborted. */
  get isAborted(): boolean {
    return this.#reason !== undefined;
  }

  skip(): void {
    this.skipped = true;
  }

  /** Whether nothing was said of how the value is kept. */
  get saysNothing(): boolean {
    return (
      this.ttl === undefined &&
      this.idleTtl === undefined &&
      this.tags === undefined &&
      this.staleWhileRevalidate === undefined &&
      this.swr === undefined &&
      this.staleIfError === undefined &&
      this.refreshAhead === undefined &&
      this.jitter === undefined &&
      this.age === undefined &&
      !this.skipped
    );
  }

  abort(reason: unknown): void {
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}

const FIELDS = new Set<string | symbol>(Object.keys(new Context(undefined, undefined)));
const WORDS = new Set(FIELDS as Set<string>);
for (const ours of ["key", "stale", "attempt", "background", "skipped"]) WORDS.delete(ours);

// A loader that misspells a word should hear of it. An assignment of a name that an object does not have goes up its
// prototypes, and a proxy among them is told; what the object has never gets there, so that this costs nothing.
// (An object that is not extensible costs more than all else about a context.)
Object.setPrototypeOf(
  Context.prototype,
  new Proxy(Object.prototype, {
    set(_, name, value, context) {
      // Where a bundler makes assignments of class fields (es2020), they come by here when a context is made.
      if (FIELDS.has(name)) {
        return Reflect.defineProperty(context, name, { value, writable: true, enumerable: true, configurable: true });
      }
      if (value !== undefined) throw unknown(String(name), "property", WORDS, "ctx.");
      return true;
    },
  }),
);
