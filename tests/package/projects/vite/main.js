import { exercise } from "./exercise.mjs";
exercise().then(
  (result) => (globalThis.result = result),
  (error) => (globalThis.result = String(error)),
);
