// What a name in a store tells, as the crate's `tier::names` makes them.

/** Whether a mark lies under this name; under all others of ours a value does. */
export function isMark(name: string): boolean {
  return /^[kta]:/.test(name);
}

/** Whether the mark of a tag or of all in a part lies under this name: reads of many keys want it. */
export function isMarkOfMany(name: string): boolean {
  return /^[ta]:/.test(name);
}

/** What the names have in common under which a key's value and its mark lie: all that follows their kind. Other names whole. */
export function withoutKind(name: string): string {
  return /^[vk]:/.test(name) ? name.slice(2) : name;
}
