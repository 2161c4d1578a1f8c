// How what came of a case is held against what it wants: the same rules as in tests/contract/script.rs.

/** The first step whose line is not what it wants, told for a human; `undefined` if all are. */
export function difference(testCase, lines) {
  for (const [at, step] of testCase.steps.entries()) {
    const line = lines[at];
    for (const what of ["is", "settles", "begins", "aborts", "events"]) {
      if (what === "events" && step.told !== undefined) {
        const told = line.events?.length ?? 0;
        if (told !== step.told) return `step ${at + 1}: ${text(step)}\n  ${told} events were told, wanted ${step.told}`;
        continue;
      }
      // Where a Rust Worker's loads and writes are waited for by nobody, they go on.
      if (what === "aborts" && testCase.mode !== undefined) continue;
      if ((what === "events" && testCase.hooks === undefined) || (what === "is" && !("is" in step))) continue;
      if (fits(what, step[what], line[what])) continue;
      const [got, wanted] = [text(line[what]), text(step[what])];
      return `step ${at + 1}: ${text(step)}\n  ${what}: got ${got}\n  ${what}: wanted ${wanted}\n  the whole line: ${text(line)}`;
    }
  }
  return undefined;
}

const text = (value) => JSON.stringify(value) ?? "nothing";

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

const isEmpty = (value) =>
  value === undefined || value === null || (typeof value === "object" && Object.keys(value).length === 0);

/** A waiter's wanted end may name its value alone, or some of its details; figures may be some of them. */
function fits(what, wanted, got) {
  if (what === "is") return partOf(wanted, got ?? null);
  if (isEmpty(wanted) || isEmpty(got)) return isEmpty(wanted) && isEmpty(got);
  if (what !== "settles") return partOf(wanted, got);
  const names = Object.keys(wanted);
  return (
    names.length === Object.keys(got).length &&
    names.every((name) => {
      if (!(name in got)) return false;
      return isObject(wanted[name]) ? partOf(wanted[name], got[name]) : partOf(wanted[name], got[name].value);
    })
  );
}

/** Whether all that is in one is in the other. */
export function partOf(wanted, got) {
  if (isObject(wanted) && isObject(got)) {
    return Object.entries(wanted).every(([name, value]) => name in got && partOf(value, got[name]));
  }
  if (Array.isArray(wanted) && Array.isArray(got)) {
    return wanted.length === got.length && wanted.every((value, at) => partOf(value, got[at]));
  }
  return Object.is(wanted, got);
}
