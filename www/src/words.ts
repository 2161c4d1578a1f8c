// Numbers and sentences as the page shows them.

import type { Scene } from "./scene.js";

export function count(n: number): string {
  return n.toLocaleString("en");
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

export function ms(time: number): string {
  if (time >= 10_000) return `${(time / 1000).toLocaleString("en", { maximumFractionDigits: 1 })} s`;
  return `${time < 9.95 && time > 0 ? time.toFixed(1) : count(Math.round(time))} ms`;
}

export function ns(time: number): string {
  return time < 1000 ? `${Math.round(time)} ns` : `${(time / 1000).toFixed(1)} µs`;
}

export function percent(rate: number): string {
  return Number.isNaN(rate) ? "–" : `${(100 * rate).toFixed(1)}%`;
}

/** What a storm came to. */
export function summary(scene: Scene): string {
  const { asked, order, loads, errors } = scene;
  if (scene.pending) {
    const under = loads.filter((load) => load.ended === undefined).length;
    return `${plural(asked.length, "get")}: ${count(asked.length - order.length)} wait for ${plural(under, "load")}.`;
  }
  const [led, joined, hits, failed] = [
    scene.count("load"),
    scene.count("join"),
    scene.count("hit"),
    scene.count("fail"),
  ];
  const last = Math.max(0, ...loads.map((load) => load.ended!), scene.answered[order.at(-1)!]!);
  const parts: string[] = [];
  if (hits > 0) parts.push(`${count(hits)} from memory`);
  if (led > 0 && led < asked.length) parts.push(`${count(led)} called the loader`);
  if (joined > 0) parts.push(`${count(joined)} waited with ${led === 1 ? "it" : "them"}`);
  let text = `${plural(asked.length, "get")}, ${loads.length === 0 ? "no load" : plural(loads.length, "load")}`;
  if (parts.length > 0) text += `: ${parts.join(", ")}`;
  text += last >= 1 ? `. All over after ${ms(last)}.` : ". All over at once.";
  for (const [error, times] of errors) text += ` ${count(times)} got the error “${error}”.`;
  if (failed > 0) text += " Nothing was stored; the next get loads anew.";
  if (loads.some((load) => load.beaten && load.ending === "answered")) {
    text += " A load that was beaten answered those who waited, and was not stored.";
  }
  return text;
}
