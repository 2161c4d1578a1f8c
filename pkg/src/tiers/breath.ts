/** Others have their turn after so many milliseconds of work. */
const WORK = 8;

/** Lets others have their turn where much has been done since the last one. */
export function breath(): () => Promise<void> | undefined {
  // In Workers time stands still meanwhile, and the turn ends by I/O alone.
  let since = Date.now();
  return () => {
    if (Date.now() - since < WORK) return undefined;
    return new Promise<void>((resolve) => {
      const next = (globalThis as { setImmediate?: (callback: () => void) => unknown }).setImmediate ?? setTimeout;
      next(() => {
        since = Date.now();
        resolve();
      });
    });
  };
}
