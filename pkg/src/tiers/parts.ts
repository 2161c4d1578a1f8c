// Parts of a cache by name, as snapshots write them (a namespace's path and the names of scopes), and which parts and keys mean
// something in this process only.

import type { EntryTable } from "../entries/entries.js";
import type { Place } from "../hooks/events.js";
import { innerScope, Partition, type ScopeName, userScope } from "../entries/partitions.js";
import { place } from "./wasm.js";

/** What begins the name of a scope that only we can make: a wrapped function's. */
const INNER = "\0";
/** What begins such a name where the function was given none: it has a number that means something in this process only. */
const UNNAMED = "#";

/** The name of a part; `undefined` for one that means nothing to another process. */
export function nameOf({ namespace, scopes }: Partition<unknown>): string | undefined {
  const names = scopes.map(nameOfScope);
  return names.some((name) => name.startsWith(INNER + UNNAMED)) ? undefined : place([...namespace.path], names);
}

/**
 * Whether a part is known by a number of this process: one within that of a function that was wrapped without a name. One whose name
 * looks so counts too, since shown names don't tell the two apart.
 */
export function isOfProcess({ scopes }: Place): boolean {
  return scopes.some((name, at) => scopes[at - 1] === "" && name.startsWith(UNNAMED));
}

/** Whether a key of a wrapped method's part names the instance whose method it is, by a number of this process. */
export function isOfInstance({ scopes }: Place, key: unknown): boolean {
  return typeof key === "string" && scopes.at(-2) === "" && /^\0@\d+;/.test(key);
}

/** The part of this name; `undefined` if there is no number left for a namespace. */
export function partOf<K>(entries: EntryTable<K, unknown>, name: string): Partition<K> | undefined {
  const [namespaces = "", scopes = ""] = name.split(":");
  let namespace = entries.namespaces[0]!;
  for (const step of steps(namespaces)) {
    const inner = entries.namespace(namespace, step);
    if (inner === undefined) return undefined;
    namespace = inner;
  }
  if (namespace.id === 0 && scopes === "") return entries.root;
  return new Partition(namespace, steps(scopes).map(scopeOf));
}

function nameOfScope({ step }: ScopeName): string {
  return step.replace(/\u0001([01])/g, (_, which) => (which === "0" ? "\0" : "\u0001"));
}

function scopeOf(name: string): ScopeName {
  if (!name.startsWith(INNER)) return userScope(name);
  const within = name.slice(1);
  return innerScope(within, within.slice(within.indexOf(":") + 1));
}

function steps(path: string): string[] {
  if (path === "") return [];
  return path.split("/").map((step) => (step === "%" ? "" : step.replace(/%(25|2F|3A)/g, decodeURIComponent)));
}
