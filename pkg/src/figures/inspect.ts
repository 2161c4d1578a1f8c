import type { Stats } from "../types/stats.js";
import type { Place } from "../hooks/events.js";

/** Names the method that `console.log` calls in Node, Deno and Bun. */
export const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** A cache, or a part of it, in a line. */
export function inspect(name: string, { namespaces, scope }: Place, bounds: string, stats: Stats): string {
  const path = [name, ...namespaces].join("/") + (scope === undefined ? "" : ` (${scope})`);
  const { entries, bytes, hitRate, inFlight } = stats;
  const rate = `${Math.round(1000 * hitRate) / 10} %`;
  return `NearCache ${path} { entries: ${entries}, bytes: ${bytes}, ${bounds}, hitRate: ${rate}, inFlight: ${inFlight} }`;
}
