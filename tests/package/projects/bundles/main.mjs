import { exercise } from "./exercise.mjs";
exercise().then(
  (result) => console.log(JSON.stringify(result)),
  (error) => console.log(error.stack),
);
