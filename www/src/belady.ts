/**
 * The hits of the best possible choice of whom to evict (Belady's: whose next use is furthest away), from the best possible
 * start, without expiry. `asked` are indices below `keys`, the oldest first. O(n) when `room` is a fair part of the keys asked for.
 */
export function bestHits(asked: Int32Array, keys: number, room: number): number {
  const never = asked.length;
  const nextUse = new Int32Array(never);
  const soonest = new Int32Array(keys).fill(never);
  for (let i = never - 1; i >= 0; i--) {
    nextUse[i] = soonest[asked[i]!]!;
    soonest[asked[i]!] = i;
  }
  // What is held is known by the moment of its next use: no two keys share one.
  const held = new Uint8Array(never);
  const start = soonest
    .filter((use) => use < never)
    .sort()
    .subarray(0, room);
  for (const use of start) held[use] = 1;
  let free = room - start.length;
  let furthest = start.at(-1) ?? -1;
  let hits = 0;
  for (let i = 0; i < never; i++) {
    if (held[i] === 1) {
      hits++;
      held[i] = 0;
      free++;
    }
    const use = nextUse[i]!;
    if (use === never) continue;
    if (free > 0) free--;
    else {
      furthest = held.lastIndexOf(1, furthest);
      if (furthest < use) continue;
      held[furthest] = 0;
    }
    held[use] = 1;
    furthest = Math.max(furthest, use);
  }
  return hits;
}
