// One client's request: asks the wasm what to do until there is an answer.

import type { Ask } from "../../generated/http.js";
import { free, type Led, type Shared, type Ways } from "./trip.js";

// As in `ask.rs`.
const ANSWER = 0;
const REFRESH = 1;
const LEAD = 2;
const JOIN = 3;
const WAIT = 4;

export async function drive(ask: Ask, ways: Ways): Promise<Response> {
  let answered = false;
  let trip: Led | Shared | undefined;
  const { trips } = ways;
  // Its answer may have been another already, by its soft deadline.
  const taken = () => !answered && ask.resume() === ANSWER && ask.takes();
  try {
    for (let step = ask.step(); ;) {
      switch (step) {
        case REFRESH: {
          const { afterRefresh } = ways;
          const trip = ask.trip()!;
          if (afterRefresh === "stale") {
            trip.free();
            step = ANSWER;
            break;
          }
          const { ended } = trips.lead(trip, ways);
          if (afterRefresh !== undefined) {
            await ended;
            return await afterRefresh();
          }
          ways.waitUntil(ended);
          step = ANSWER;
          break;
        }
        case LEAD:
          trip?.leave();
          trip = trips.lead(ask.trip()!, ways, taken);
          ways.waitUntil(trip.ended);
          step = await wait(ask, trip);
          break;
        case JOIN:
          trip?.leave();
          trip = trips.join(ask.flight());
          step = trip === undefined ? ask.lost() : await wait(ask, trip);
          break;
        default: {
          const opening = ways.edge?.open(ask);
          if (opening === undefined) return ask.reply((start?: number, end?: number) => trip?.take(start, end));
          const body = await opening;
          if (body !== undefined) return ask.reply(() => body);
          step = ask.missing();
        }
      }
    }
  } catch (error) {
    return ways.failed(error);
  } finally {
    answered = true;
    trip?.leave();
    free(ask);
  }
}

/** Waits until a trip has something new, at most as long as its asker wants to. */
async function wait(ask: Ask, trip: Led | Shared): Promise<number> {
  // One that is joined late may have told already what it has to tell for now.
  for (let step = trip.told ? ask.resume() : WAIT; ;) {
    if (step !== WAIT) return step;
    const millis = ask.patience();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<"late">((resolve) => (timer = setTimeout(resolve, millis, "late")));
    let what: "late" | "lost" | void;
    try {
      what = await Promise.race([trip.news(), late]);
    } catch {
      // The request that led it is gone.
      what = "lost";
    } finally {
      clearTimeout(timer);
    }
    const over = trip.over;
    step = what === "lost" ? ask.lost() : what === "late" ? ask.late() : ask.resume();
    // Nothing more will come of it, or this would go round for ever.
    if (over && step === WAIT) return ask.lost();
  }
}
