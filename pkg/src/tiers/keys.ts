import { isWellFormed } from "../options/options.js";

/**
 * A key as text, so that different keys have different texts, in UTF-8 too: strings as they are, unless they begin with `#`; `#s` and the
 * string then; `#j` and its JSON where a half of a character stands alone; `#n1.5`, `#i7` (bigint), `#btrue`, `#u` (undefined), `#0` (null).
 * Other keys mean something in one process only, and have none.
 */
export function keyText(key: unknown): string | undefined {
  switch (typeof key) {
    case "string":
      if (!isWellFormed(key)) return `#j${JSON.stringify(key)}`;
      return key.startsWith("#") ? `#s${key}` : key;
    case "number":
      return `#n${key}`;
    case "bigint":
      return `#i${key}`;
    case "boolean":
      return `#b${key}`;
    case "undefined":
      return "#u";
    default:
      return key === null ? "#0" : undefined;
  }
}

/** The key of a text, if it is one of ours: `[key]`. */
export function keyOf(text: string): [unknown] | undefined {
  if (!text.startsWith("#")) return [text];
  const rest = text.slice(2);
  switch (text[1]) {
    case "s":
      return [rest];
    case "j":
      return jsonString(rest);
    case "n":
      return [Number(rest)];
    case "i":
      return /^-?\d+$/.test(rest) ? [BigInt(rest)] : undefined;
    case "b":
      return [rest === "true"];
    case "u":
      return [undefined];
    case "0":
      return [null];
    default:
      return undefined;
  }
}

function jsonString(text: string): [string] | undefined {
  try {
    const key: unknown = JSON.parse(text);
    return typeof key === "string" ? [key] : undefined;
  } catch {
    return undefined;
  }
}
