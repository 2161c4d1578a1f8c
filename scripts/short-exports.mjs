// Gives a wasm's exports of a class names of one or two letters, in it and in its glue: `node short-exports.mjs WASM GLUE CLASS`.

import { readFileSync, writeFileSync } from "node:fs";

const EXPORTS = 7;
const [wasmFile, glueFile, owner] = process.argv.slice(2);
const wasm = readFileSync(wasmFile);
const short = new Map();

let at = 8;
const number = () => {
  for (let value = 0, shift = 0; ; shift += 7) {
    const byte = wasm[at++];
    value |= (byte & 127) << shift;
    if (byte < 128) return value >>> 0;
  }
};
const letter = (number) => String.fromCharCode(97 + number);
const letters = (number) => (number < 26 ? "" : letter(Math.floor(number / 26) - 1)) + letter(number % 26);
const encoded = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...encoded(value >>> 7)]);

function renamed() {
  const count = number();
  const bytes = encoded(count);
  for (let left = count; left > 0; left--) {
    const length = number();
    const name = wasm.toString("utf8", at, (at += length));
    if (name.startsWith(`${owner}_`)) short.set(name, letters(short.size));
    const shown = Buffer.from(short.get(name) ?? name);
    const rest = at++;
    number();
    bytes.push(...encoded(shown.length), ...shown, ...wasm.subarray(rest, at));
  }
  return bytes;
}

const pieces = [wasm.subarray(0, at)];
while (at < wasm.length) {
  const [from, id] = [at, wasm[at++]];
  const size = number();
  const end = at + size;
  if (id === EXPORTS) {
    const section = renamed();
    pieces.push(Buffer.from([id, ...encoded(section.length), ...section]));
  } else pieces.push(wasm.subarray(from, end));
  at = end;
}
const glue = readFileSync(glueFile, "utf8").replace(/\bwasm\.(\w+)/g, (whole, name) =>
  short.has(name) ? `wasm.${short.get(name)}` : whole,
);
writeFileSync(wasmFile, Buffer.concat(pieces));
writeFileSync(glueFile, glue);
