// Policies that a core knows by number, so that a hot call passes one number for sixteen. A program may make up any number
// of them, for namespaces that it makes anew for each request: a core knows the last few that differ, and is told again of others.

import { row } from "./calls.js";
import type { Core } from "../core/core.js";
import { type Numbers, over } from "./policy.js";

/** How many a core knows at a time, besides what nobody has said anything of. */
const MOST = 256;

/** What the calls on a part of a cache go by where they say nothing. Its number is {@link Policies.number}. */
export class Policy {
  constructor(
    readonly said: Numbers | undefined,
    readonly name: string,
    /** What it had last: another may have it now. */
    public last: number,
  ) {}
}

/** What a core does that nobody told anything. */
export const DEFAULT_POLICY = new Policy(undefined, "", 0);

export class Policies {
  /** By number. */
  private readonly known: Policy[] = [DEFAULT_POLICY];
  private readonly byName = new Map<string, Policy>();
  /** Who had a number first has it taken first. */
  private oldest = 1;

  constructor(private readonly core: () => Core) {}

  /** One that says what `base` does but for this: the same for the same numbers, while it is known. */
  of(base: Policy, by: Numbers): Policy {
    const said = base.said === undefined ? by : numbersOver(base.said, by);
    const name = `${row(said).join()} ${said.checked}`;
    const known = this.byName.get(name);
    if (known !== undefined) return known;
    const policy = new Policy(said, name, 0);
    this.tell(policy);
    return policy;
  }

  /** The core's number: it holds until another policy is asked for. */
  number(policy: Policy): number {
    return this.known[policy.last] === policy ? policy.last : this.tell(policy);
  }

  /** There is a new core, which knows none. */
  retell(): void {
    for (const { said, last } of this.known) if (said !== undefined) tell(this.core(), last, said);
  }

  private tell(policy: Policy): number {
    const known = this.byName.get(policy.name);
    // Made anew since its number was taken.
    if (known !== undefined) return known.last;
    const number = this.known.length <= MOST ? this.known.length : this.oldest;
    tell(this.core(), number, policy.said!);
    const gone = this.known[number];
    if (gone !== undefined) {
      this.byName.delete(gone.name);
      this.oldest = (this.oldest % MOST) + 1;
    }
    policy.last = number;
    this.known[number] = policy;
    this.byName.set(policy.name, policy);
    return number;
  }
}

function tell(core: Core, number: number, said: Numbers): void {
  core.policy(number, row(said), said.checked);
}

/** A policy over another. */
function numbersOver(base: Numbers, by: Numbers): Numbers {
  // What is said of retries is said together.
  const { attempts, retryDelay, retryFactor, retryJitter } = Number.isNaN(by.attempts) ? base : by;
  const checked = base.checked || by.checked;
  return { ...over(base, by), attempts, retryDelay, retryFactor, retryJitter, checked };
}
