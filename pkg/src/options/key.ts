// A key from arguments. What matters is that two lists of arguments which a function can tell apart never get one
// key: that would hand one user's answer to another. So every value is written in a form that says where it ends
// (a string by its length, so that no string can pass for something else), and what can't be told from another by its
// content is refused: functions, class instances (they may hold private fields, and a `toJSON` may leave out
// just what differs), properties that are hidden.
//
// Two exceptions, where to tell apart would only cost hits: the order of an object's properties and of a Map's and
// Set's entries, and -0, which is 0, as a Map has it.

import { NearCacheError } from "./errors.js";
import { describe } from "./options.js";

/** Begins every composed key. A string of the user's that begins with it is composed too. */
const MARK = "\0";
/** Deeper ones are refused, before the stack ends. */
const DEEPEST = 200;

/** How an error names the argument of an index. */
type Names = (index: number) => string;
const byIndex: Names = (index) => `args[${index}]`;

/**
 * A key for a `Map`, equal for equal arguments only. A single string, number, boolean, bigint, null or
 * undefined is its own key; anything else becomes a string, in time and length as its content.
 *
 * @throws {NearCacheError} `ERR_KEY`, naming what no key can be made of.
 */
export function keyOf(args: readonly unknown[], names?: Names): unknown {
  if (args.length === 1) {
    const only = args[0];
    switch (typeof only) {
      case "string":
        if (only.charCodeAt(0) !== 0) return only;
        break;
      case "number":
        return only === 0 ? 0 : only;
      case "boolean":
      case "bigint":
      case "undefined":
        return only;
      default:
        if (only === null) return null;
    }
  }
  return textKey(args, "", names);
}

/** As `keyOf`, but always a string. `lead` goes before the arguments, and begins as no argument's string does. */
export function textKey(args: readonly unknown[], lead = "", names = byIndex): string {
  const top: Place = { parent: undefined, name: undefined, value: names, depth: 0 };
  let text = MARK + lead;
  for (let i = 0; i < args.length; i++) text += write(args[i], top, i);
  return text;
}

/** A string so that it says itself where it ends. */
export function quote(text: string): string {
  return `"${text.length}:${text}`;
}

/** Where we are, against cycles and for errors: in this value, which its parent has under this name. */
interface Place {
  readonly parent: Place | undefined;
  readonly name: unknown;
  readonly value: unknown;
  readonly depth: number;
}

/** The value's string. None is the beginning of another, and none begins with `]`, `}` or `@`. */
function write(value: unknown, parent: Place, name: unknown): string {
  switch (typeof value) {
    case "string":
      return quote(value);
    case "number":
      return `#${value};`;
    case "bigint":
      return `n${value};`;
    case "boolean":
      return value ? "T" : "F";
    case "undefined":
      return "U";
    case "object":
      return value === null ? "N" : writeObject(value, { parent, name, value, depth: parent.depth + 1 });
    default:
      throw refusal({ parent, name, value, depth: 0 }, describe(value));
  }
}

function writeObject(value: object, place: Place): string {
  for (let above = place.parent; above !== undefined; above = above.parent) {
    if (above.value === value) throw refusal(place, "a cycle");
  }
  if (place.depth > DEEPEST) throw refusal(place, `something more than ${DEEPEST} deep`);
  const kind = kindOf(value);
  if (kind === undefined) throw refusal(place, instance(value));
  if (typeof kind === "function") return kind(value, place);
  if (Reflect.ownKeys(value).length !== kind.own(value))
    throw refusal(place, `${instance(value)} with properties of its own`);
  return `(${kind.name}:${kind.content(value, place)}`;
}

function writePlain(value: Record<string, unknown>, place: Place): string {
  const names = Reflect.ownKeys(value);
  for (const name of names) {
    if (typeof name === "symbol") throw refusal(place, "an object with a symbol among its properties");
    if (!Object.prototype.propertyIsEnumerable.call(value, name))
      throw refusal(place, "an object with a hidden property");
  }
  let text = "{";
  for (const name of (names as string[]).sort()) text += quote(name) + write(value[name], place, name);
  return `${text}}`;
}

function writeArray(value: unknown[], place: Place): string {
  let text = "[";
  for (let i = 0; i < value.length; i++) {
    if (!Object.hasOwn(value, i)) throw refusal(place, "an array with a hole");
    text += write(value[i], place, i);
  }
  // Its items and its length.
  if (Reflect.ownKeys(value).length !== value.length + 1) throw refusal(place, "an array with properties of its own");
  return `${text}]`;
}

type Write<T> = (value: T, place: Place) => string;

/** A type whose instances are told apart by a content that only they have, as its own methods tell it. */
interface Builtin<T> {
  readonly name: string;
  readonly content: Write<T>;
  /** How many properties of its own an instance has when nobody has added any. */
  own(value: T): number;
}
type Kind = Builtin<any> | Write<any>;

/** What a value is, by its prototype. */
const KINDS = new Map<unknown, Kind>([[Array.prototype, writeArray]]);
const BY_NAME = new Map<string, Kind>([
  ["Object", writePlain],
  ["Array", writeArray],
]);
function builtin<T>(
  type: { readonly prototype: T; readonly name: string },
  content: Write<T>,
  own: (value: T) => number = () => 0,
): void {
  const kind: Builtin<T> = { name: type.name, content, own };
  KINDS.set(type.prototype, kind);
  BY_NAME.set(type.name, kind);
}
/** An accessor as the language has it, which throws for what is only called so. */
function read(type: { readonly prototype: object }, name: string, value: object): any {
  return Reflect.get(type.prototype, name, value);
}
builtin(Date, (date) => `${Date.prototype.getTime.call(date)};`);
builtin(
  RegExp,
  (re) => quote(read(RegExp, "source", re)) + quote(read(RegExp, "flags", re)) + quote(String(re.lastIndex)),
  () => 1,
);
// Deno's have properties of their own.
const url = new URL("http://a");
const [urls, searches] = [Reflect.ownKeys(url).length, Reflect.ownKeys(url.searchParams).length];
builtin(
  URL,
  ({ href }) => quote(href),
  () => urls,
);
builtin(
  URLSearchParams,
  (parameters) => quote(parameters.toString()),
  () => searches,
);
builtin(Map, (map, place) =>
  unordered(Map.prototype.entries.call(map), ([key, value]) => write(key, place, key) + write(value, place, key)),
);
builtin(Set, (set, place) => unordered(Set.prototype.values.call(set), (value) => write(value, place, value)));
builtin(ArrayBuffer, (buffer) => quote(latin1(new Uint8Array(buffer, 0, read(ArrayBuffer, "byteLength", buffer)))));
for (const type of [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
]) {
  builtin<ArrayBufferView>(
    type,
    (view) => quote(latin1(new Uint8Array(view.buffer, view.byteOffset, view.byteLength))),
    (view) => (type === DataView ? 0 : (view as Uint8Array).length),
  );
}

function kindOf(value: object): Kind | undefined {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return writePlain;
  const kind = KINDS.get(prototype) ?? FOREIGN.get(prototype as object);
  if (kind !== undefined) return kind;
  const found = foreign(prototype as object);
  if (found !== undefined) FOREIGN.set(prototype as object, found);
  return found;
}

/** What values of other realms are: those of `vm`, Jest, frames. */
const FOREIGN = new WeakMap<object, Kind>();

/**
 * What a prototype is in its own realm. Only a function of the language or its host shows itself as native code under
 * a name: a class shows its source, and what is bound or a proxy no name. What host types of the same name may be is
 * refused by the contents' own accessors.
 */
function foreign(prototype: object): Kind | undefined {
  const type: unknown = Object.getOwnPropertyDescriptor(prototype, "constructor")?.value;
  if (typeof type !== "function" || type.prototype !== prototype) return undefined;
  const [, name] = /^function (\w+)\(\) \{\s*\[native code\]\s*\}$/.exec(Function.prototype.toString.call(type)) ?? [];
  return BY_NAME.get(name!);
}

function unordered<T>(items: Iterable<T>, text: (item: T) => string): string {
  return `{${Array.from(items, text).sort().join("")}}`;
}

/** Bytes as a string of as many characters. */
function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return text;
}

function instance(value: object): string {
  const name: unknown = (value as { constructor?: { name?: unknown } }).constructor?.name;
  return typeof name === "string" && name !== "" ? `an instance of ${name}` : "an instance of a class";
}

function refusal(place: Place, got: string): NearCacheError {
  return new NearCacheError(
    "ERR_KEY",
    `${path(place)}: got ${got}, wants plain data, so that a key tells it from any other; give getKey`,
  );
}

function path({ parent, name }: Place): string {
  if (parent === undefined) return "";
  const { value } = parent;
  if (parent.parent === undefined) return (value as Names)(name as number);
  if (Array.isArray(value)) return `${path(parent)}[${name}]`;
  const kind = kindOf(value as object);
  if (kind === BY_NAME.get("Map")) return `${path(parent)}.get(${describe(name)})`;
  if (kind === BY_NAME.get("Set")) return `${path(parent)}.has(${describe(name)})`;
  return `${path(parent)}.${name as string}`;
}
