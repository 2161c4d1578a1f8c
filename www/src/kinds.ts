// The kinds of traffic that the page makes: each says which key is asked for next.

export interface Bounds {
  keys: number;
  maxEntries: number;
}

export interface Kind {
  /** What to expect, said while it runs. */
  says: string;
  /** How the keys lie in their picture. */
  order: string;
  draws: (bounds: Bounds) => () => number;
}

export type KindName = keyof typeof KINDS;

/** Parts of the cache's size. */
const LOOP = 1.5;
const HOT = 0.9;
/** Gets between two shifts of the hot set, for each key there is. */
const SHIFT_EVERY = 20;

export const KINDS = {
  zipf: {
    says: "The head of the crowd is held at once; the tail comes and goes.",
    order: "every key, the most wanted first",
    draws: ({ keys }) => zipf(keys),
  },
  scans: {
    says: "One get in three reads every key in turn, on and on. That pushes what is wanted out of lru; adaptive lets it pass.",
    order: "every key, the most wanted first",
    draws({ keys }) {
      const wanted = zipf(keys);
      let made = 0;
      return () => (++made % 3 === 0 ? (made / 3) % keys : wanted());
    },
  },
  loop: {
    says: "Round and round over half as many keys again as there is room for: lru drops each just before it is wanted.",
    order: "every key, in the order of the loop",
    draws({ keys, maxEntries }) {
      const length = Math.min(keys, Math.ceil(LOOP * maxEntries));
      let made = 0;
      return () => made++ % length;
    },
  },
  shift: {
    says: "Four gets in five want a hot set that nearly fills the cache; it moves from time to time, and all must learn anew.",
    order: "every key; the hot set wanders",
    draws({ keys, maxEntries }) {
      const hot = Math.max(1, Math.min(keys, Math.floor(HOT * maxEntries)));
      let made = 0;
      return () => {
        const start = Math.floor(made++ / (SHIFT_EVERY * keys)) * hot;
        return Math.random() < 0.8 ? (start + below(hot)) % keys : below(keys);
      };
    },
  },
} satisfies Record<string, Kind>;

function below(end: number): number {
  return Math.floor(Math.random() * end);
}

/** Zipf with exponent 1: key-1 is wanted twice as often as key-2, three times as often as key-3. */
function zipf(keys: number): () => number {
  let sum = 0;
  const sums = Float64Array.from({ length: keys }, (_, i) => (sum += 1 / (i + 1)));
  return () => {
    const point = Math.random() * sum;
    let [low, high] = [0, keys - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle]! > point) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}
