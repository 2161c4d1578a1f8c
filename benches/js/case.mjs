// One case of one contender in a process of its own: `node case.mjs CONTENDER CASE`. Prints one number:
// nanoseconds an operation, or bytes an entry, and where gets may miss a second: how many of a hundred hit.

import { contenders } from "./contenders.mjs";
import { cases } from "./cases.mjs";

const [contender, name] = process.argv.slice(2);
const measured = await cases[name](contenders[contender]);
console.log([measured].flat().join(" "));
