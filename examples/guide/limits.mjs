// An origin that bears little: at most so many loads at once and in a second, and the others wait for their turn.
import { NearCache } from "nearcache";

let busy = 0;
let most = 0;
const ask = async (city) => {
  most = Math.max(most, ++busy);
  await new Promise((resolve) => setTimeout(resolve, 20));
  busy--;
  return `sunny in ${city}`;
};

const weather = new NearCache({
  ttl: "10m",
  maxConcurrentLoads: 2, // the origin's pool of connections
  loadsPerSecond: 50, // what its terms allow
  maxQueuedLoads: 100, // more than these would only time out
  hardTimeout: "5s", // counts while a load waits for its turn, too
});

const cities = ["Rome", "Oslo", "Lima", "Cairo", "Accra"];
const asked = cities.map((city) => weather.getOrSet(city, ask));
const { inFlight, queued } = weather.stats();
console.log(`${inFlight} under way, ${queued} wait`);

// What nobody is in a hurry for goes last.
const spare = weather.getOrSet("Perth", ask, { priority: "low" });
await Promise.all([...asked, spare]);
const { queueLatency } = weather.stats();
console.log(`${queueLatency.count} waited, ${most} were under way at once`);

// A caller may leave. The load goes on where that is wanted, and is there for the next.
const patience = new AbortController();
const left = weather.getOrSet("Quito", ask, { keepLoading: true, signal: patience.signal });
patience.abort(new Error("no longer wanted"));
await left.catch((error) => console.log(error.message));
await new Promise((resolve) => setTimeout(resolve, 60));
console.log(weather.get("Quito"));

// prints:
// 2 under way, 3 wait
// 4 waited, 2 were under way at once
// no longer wanted
// sunny in Quito
