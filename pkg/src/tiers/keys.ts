/**
 * A key as text, so that different keys have different texts: strings as they are, unless they begin with `#`; `#s` and the string then;
 * `#n1.5`, `#i7` (bigint), `#btrue`, `#u` (undefined), `#0` (null). Other keys mean something in one process only, and have none.
 */
export function keyText(key: unknown): string | undefined {
  switch (typeof key) {
    case "string":
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
