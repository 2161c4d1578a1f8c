// One client's request: asks the wasm what to do until there is an answer.

import { failed } from "./instance.js";
import { join, lead } from "./trip.js";

// As in `ask.rs`.
const ANSWER = 0;
const REFRESH = 1;
const LEAD = 2;
const JOIN = 3;
const OPERATOR = 4;
const WAIT = 5;

/** The longest body of an operator's request. */
const MAX_OPERATOR_BODY = 1 << 20;

export async function drive(proxy, ask, request, context) {
  let answered = false;
  // Its answer may have been another already, by its soft deadline.
  const taken = () => !answered && ask.resume() === ANSWER;
  try {
    for (let step = ask.step(), trip; ;) {
      switch (step) {
        case ANSWER:
          return ask.reply((start, end) => trip.take(start, end));
        case REFRESH:
          context.waitUntil(lead(proxy, ask.trip()).ended);
          return ask.reply();
        case LEAD:
          trip = lead(proxy, ask.trip(), taken, request);
          context.waitUntil(trip.ended);
          step = await wait(ask, trip);
          break;
        case JOIN:
          trip = join(ask.flight());
          step = trip === undefined ? ask.lost() : await wait(ask, trip);
          break;
        case OPERATOR:
          return await operate(ask, request);
      }
    }
  } catch (error) {
    return failed(error);
  } finally {
    answered = true;
    ask.free();
  }
}

/** Waits until a trip has something new, at most as long as its asker wants to. */
async function wait(ask, trip) {
  // One that is joined late may have told already what it has to tell for now.
  for (let step = trip.told ? ask.resume() : WAIT; ;) {
    if (step !== WAIT) return step;
    const millis = ask.patience();
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, millis, "late")));
    let what;
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

async function operate(ask, request) {
  const length = Number(request.headers.get("content-length") ?? 0);
  const text = length > MAX_OPERATOR_BODY ? "" : await request.text();
  return ask.operate(text);
}

/** Loads a target anew, and lets its answer go. */
export async function exhaust(proxy, target, context) {
  const request = { method: "GET", body: null };
  const ask = proxy.refresh(target);
  const response = ask instanceof Response ? ask : await drive(proxy, ask, request, context);
  if (response.body) await response.body.pipeTo(new WritableStream()).catch(() => {});
  if (!response.ok) console.warn(`nearcache: KEEP_FRESH ${target}: ${response.status}`);
}
