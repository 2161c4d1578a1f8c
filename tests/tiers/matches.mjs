import { equal } from "../js/runner.mjs";

/** Compares what is wanted of an object, as deep as that goes. */
export function matches(got, wanted, what = "it") {
  for (const [name, value] of Object.entries(wanted)) {
    if (typeof value === "object" && value !== null) matches(got[name], value, `${what}.${name}`);
    else equal(got[name], value, `${what}.${name}`);
  }
}
