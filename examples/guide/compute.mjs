// The next value from the present one: who computes the same key comes one after the other.
import { NearCache } from "nearcache";

const visits = new NearCache({ ttl: "1h" });
const visit = () => visits.compute("ann", async (count = 0) => count + 1);
console.log(await Promise.all([visit(), visit(), visit()]));

// If it fails, what was there stays.
await visits
  .compute("ann", () => {
    throw new Error("no");
  })
  .catch((error) => console.log(error.message));
console.log(visits.get("ann"));

// Nothing is the word for deletion.
await visits.compute("ann", (count) => (count >= 3 ? undefined : count));
console.log(visits.has("ann"));

// prints:
// [ 1, 2, 3 ]
// no
// 3
// false
