// What the runners have in common.

/** `--seed=N`, `--only=TEXT` and `--count=N` from the command line. */
export function settings() {
  const given = Object.fromEntries(process.argv.slice(2).map((argument) => argument.replace(/^--/, "").split("=")));
  const seed = given.seed === undefined ? Math.floor(Math.random() * 1e9) : Number(given.seed);
  return { seed, only: given.only ?? "", count: given.count === undefined ? undefined : Number(given.count) };
}

/** Nothing of ours hangs longer than this. */
export function limit(millis, what) {
  setTimeout(() => {
    console.log(`${what}: not over after ${millis / 1000} s\n0 passed, 1 failed`);
    process.exit(1);
  }, millis).unref();
}

/** One line a failure, the sum, and the exit code. */
export function report(runtime, { passed, failed, failures }, seed) {
  for (const { title, error } of failures)
    console.log(`${runtime}: FAILED ${title}: ${error.split("\n").slice(0, 3).join(" | ")}`);
  if (seed !== undefined) console.log(`${runtime}: seed ${seed}`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}
