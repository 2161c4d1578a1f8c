import { GET_PREPARED, INNER_SCOPE, type Internals } from "./loads/handle.js";
import { keyOf, quote, textKey } from "./options/key.js";
import {
  checkBoolean,
  checkFunction,
  count,
  describe,
  isWellFormed,
  optionError,
  rejectUnknown,
} from "./options/options.js";
import { GET_OPTIONS, readCall } from "./policy/policy.js";
import type { AnyFunction, CachedOptions, CacheLike, GetOrSetOptions, Wrapped, WrapOptions } from "./types/types.js";

const WRAP_OPTIONS = new Set(["getKey", "skipArgs", "name", ...GET_OPTIONS]);
const CACHED_OPTIONS = new Set(["cache", "perInstance", ...WRAP_OPTIONS]);

/** `NearCache.wrap`. */
export function wrap<V, F extends (this: void, ...args: any[]) => V | PromiseLike<V>>(
  cache: Internals<any, V>,
  fn: F,
  options: WrapOptions<Parameters<F>> = {},
): Wrapped<F> {
  rejectUnknown(options, WRAP_OPTIONS);
  // No `this`: a method that needs one fails, loudly, instead of mixing its objects' answers.
  return build(
    cache,
    checkFunction("fn", fn),
    options,
    () => undefined,
    () => "",
  ) as Wrapped<F>;
}

/**
 * A decorator (TC39's, TypeScript 5's without `experimentalDecorators`) that puts a cache before an async method:
 * of instances or static, public or private.
 *
 * ```ts
 * class Users {
 *   @cached({ cache, ttl: "1m" })
 *   async find(id: string): Promise<User> { … }
 * }
 * cached.of(users, users.find).invalidate("ann");
 * ```
 *
 * Entries of different instances never mix, nor do those of a class and of classes that inherit its static method.
 * They are told apart by a number each gets at its first call, so entries are of no use to anyone once their
 * instance is gone, and stay until their time has passed or room is needed.
 *
 * @throws {NearCacheError} `ERR_OPTION`, naming the option, what it got and what it wants.
 */
export function cached<C extends Pick<CacheLike<any, any>, "set">>(
  options: Omit<CachedOptions, "cache"> & { /** Where the entries lie. */ cache: C },
) {
  rejectUnknown(options, CACHED_OPTIONS);
  const { cache: given, perInstance = true, ...rest } = options;
  const cache = given as unknown as Internals<any, any>;
  if (typeof cache?.[INNER_SCOPE] !== "function") throw optionError("cache", describe(cache), "a NearCache");
  checkBoolean("perInstance", perInstance);
  return <This, F extends (this: This, ...args: any[]) => Promise<CacheValue<C>>>(
    method: F,
    context: ClassMethodDecoratorContext<This, F>,
  ): F => {
    if (context?.kind !== "method")
      throw optionError(
        "@cached",
        describe(context?.kind),
        "a method, and standard decorators, not experimentalDecorators",
      );
    let home: unknown;
    if (context.static)
      context.addInitializer(function () {
        home = this;
      });
    const receiver = (self: unknown): unknown => {
      if (!methods.has(self as AnyFunction)) return self;
      throw optionError(
        "this",
        "the method itself",
        `cached.of(object, object.${String(context.name)}).refresh(…) and the like`,
      );
    };
    const wrapped = build(
      cache,
      method,
      rest,
      receiver,
      perInstance ? (self) => (self === home ? "" : number(self)) : () => "",
    );
    methods.add(wrapped);
    return wrapped as unknown as F;
  };
}

/**
 * The controls of a decorated method (`refresh`, `invalidate`, `bypass`, `key`, `cache`), for one object; of a static method, for
 * its class. A decorator can't show them in a method's type, and they need to know whose they are.
 *
 * @throws {NearCacheError} `ERR_OPTION` if the method is not decorated.
 */
cached.of = <F extends AnyFunction>(object: object, method: F): Wrapped<F> => {
  if (!methods.has(method)) throw optionError("method", describe(method), "a method with @cached");
  const { refresh, invalidate, bypass, key, cache } = method as unknown as Wrapped<AnyFunction>;
  const bind = (control: AnyFunction): AnyFunction => control.bind(object);
  return Object.assign(bind(method), {
    refresh: bind(refresh),
    invalidate: bind(invalidate),
    bypass: bind(bypass),
    key: bind(key),
    cache,
  }) as unknown as Wrapped<F>;
};

// Were it a type parameter of `cached`, a cache that is made among its options would be taken for one of nothing.
/** What a cache holds. */
export type CacheValue<C> = C extends { set(key: any, value: infer V, ...rest: any[]): unknown } ? V : never;

/** Decorated methods. */
const methods = new WeakSet<AnyFunction>();

/** `receiver`: the `this` that the function gets. `owner`: what goes into a key for it; "" if nothing. */
function build(
  cache: Internals<any, any>,
  fn: AnyFunction,
  options: WrapOptions,
  receiver: (self: unknown) => unknown,
  owner: (self: unknown) => string,
): Wrapped<AnyFunction> {
  const { getKey, skipArgs, name, ...rest } = options;
  readCall(rest);
  const part = partOf(cache, fn, name);
  const prepare = select(getKey, skipArgs);
  const plain = Object.keys(rest).length === 0 ? undefined : rest;
  // Durations and the like are read again at each load, but not at each hit, of which these three say something.
  const { forceFresh, signal, validate } = rest;
  const reusableOptions = (forceFresh ?? signal ?? validate) === undefined ? rest : undefined;
  const fresh = { ...rest, forceFresh: true };

  const keyFor = (self: unknown, args: unknown[]): unknown => {
    const lead = owner(self);
    const { chosen, names } = prepare === undefined ? { chosen: args, names: undefined } : prepare(self, args);
    return lead === "" ? keyOf(chosen, names) : textKey(chosen, lead, names);
  };
  const ask = (given: unknown, args: unknown[], call: GetOrSetOptions | undefined): Promise<unknown> => {
    let self: unknown;
    let key: unknown;
    try {
      self = receiver(given);
      key = keyFor(self, args);
    } catch (error) {
      return Promise.reject(error);
    }
    const load = (): unknown => fn.apply(self, args);
    return call !== undefined && call === reusableOptions
      ? part[GET_PREPARED](key, load, call)
      : part.getOrSet(key, load, call);
  };

  function wrapped(this: unknown, ...args: unknown[]): Promise<unknown> {
    return ask(this, args, plain);
  }
  Object.defineProperty(wrapped, "name", { value: fn.name, configurable: true });
  return Object.assign(wrapped, {
    refresh(this: unknown, ...args: unknown[]) {
      return ask(this, args, fresh);
    },
    invalidate(this: unknown, ...args: unknown[]) {
      return part.delete(keyFor(receiver(this), args));
    },
    bypass(this: unknown, ...args: unknown[]): unknown {
      return fn.apply(receiver(this), args);
    },
    cache: part,
    key(this: unknown, ...args: unknown[]) {
      return keyFor(receiver(this), args);
    },
  });
}

interface Chosen {
  readonly chosen: unknown[];
  readonly names: ((index: number) => string) | undefined;
}

/** What of the arguments makes the key; `undefined` if all do. */
function select(getKey: unknown, skipArgs: unknown): ((self: unknown, args: unknown[]) => Chosen) | undefined {
  if (getKey !== undefined) {
    const ask = checkFunction("getKey", getKey) as AnyFunction;
    if (skipArgs !== undefined) throw optionError("skipArgs", "a value beside getKey", "one of the two");
    const names = () => "what getKey returned";
    return (self, args) => ({ chosen: [ask.apply(self, args)], names });
  }
  if (skipArgs === undefined) return undefined;
  const skipped = new Set((Array.isArray(skipArgs) ? skipArgs : [skipArgs]).map((index) => count("skipArgs", index)));
  return (_, args) => {
    const kept = Array.from(args.keys()).filter((index) => !skipped.has(index));
    return { chosen: kept.map((index) => args[index]), names: (index) => `args[${kept[index]}]` };
  };
}

let wraps = 0;

/** A part of the cache that no other function has, unless they have one name, and nobody else can name. */
function partOf(cache: Internals<any, any>, fn: AnyFunction, name: unknown): Internals<any, any> {
  if (name !== undefined && !(typeof name === "string" && isWellFormed(name))) {
    throw optionError("name", describe(name), "a string without lone surrogates");
  }
  // What begins with `#` is kept in no tier and no snapshot. A quote begins with a quotation mark.
  return name === undefined ? cache[INNER_SCOPE](`#${fn.name}#${++wraps}`) : cache[INNER_SCOPE](quote(name), name);
}

const numbers = new WeakMap<object, number>();
let numbered = 0;

/** Which instance it is. `this` may be anything, if only by `call`. */
function number(self: unknown): string {
  if ((typeof self !== "object" || self === null) && typeof self !== "function") return `@${textKey([self])};`;
  let known = numbers.get(self);
  if (known === undefined) numbers.set(self, (known = ++numbered));
  return `@${known};`;
}
