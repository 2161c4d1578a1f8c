/** What runs a user's code that may ask for keys: a load, or a batch. */
export interface Asker {
  /** What the core calls it; -1 if it has ended. */
  readonly node: number;
}
