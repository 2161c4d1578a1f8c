// Header fields cross to the wasm and back as one string, a line for each name and each value: no value has a line feed.

export function flatten(headers: Headers): string {
  let text = "";
  for (const [name, value] of headers) text += `${name}\n${value}\n`;
  return text;
}

export function unflatten(text: string): Headers {
  const headers = new Headers();
  const lines = text.split("\n");
  for (let i = 0; i + 1 < lines.length; i += 2) headers.append(lines[i]!, lines[i + 1]!);
  return headers;
}

/** A runtime takes no body with these, be it empty. */
export const BODILESS: ReadonlySet<number> = new Set([204, 205, 304]);
