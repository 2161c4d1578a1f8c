// One case of one contender in a process of its own: `node case.mjs CONTENDER CASE`. Prints one number:
// nanoseconds an operation, or bytes an entry.

import { contenders } from "./contenders.mjs";
import { cases } from "./cases.mjs";

const [contender, name] = process.argv.slice(2);
console.log(await cases[name](contenders[contender]));
