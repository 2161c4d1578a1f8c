// What happened in one storm, and when. Times are milliseconds since it began.

export type Kind = "wait" | "load" | "join" | "hit" | "fail";
export type Ending = "under way" | "answered" | "failed" | "given up";

export interface Load {
  readonly key: string;
  readonly began: number;
  ended: number | undefined;
  ending: Ending;
  /** What came while it was under way, so that nothing of it is stored. */
  beaten: string | undefined;
}

export class Scene {
  readonly start = performance.now();
  readonly asked: number[] = [];
  readonly answered: (number | undefined)[] = [];
  readonly kinds: Kind[] = [];
  /** Gets in the order of their answers. */
  readonly order: number[] = [];
  readonly loads: Load[] = [];
  readonly marks: { at: number; what: string }[] = [];
  /** Errors by their text. */
  readonly errors = new Map<string, number>();
  expectedGets = 0;

  /** `expected`: how long this will take, as far as one can tell. */
  constructor(public expected: number) {}

  get now(): number {
    return performance.now() - this.start;
  }

  get pending(): boolean {
    return this.order.length < this.expectedGets || this.loads.some((load) => load.ended === undefined);
  }

  ask(): number {
    this.kinds.push("wait");
    this.answered.push(undefined);
    return this.asked.push(this.now) - 1;
  }

  answer(get: number, kind: Kind): void {
    this.answered[get] = this.now;
    this.kinds[get] = kind;
    this.order.push(get);
  }

  fail(get: number, error: unknown): void {
    this.answer(get, "fail");
    const text = error instanceof Error ? error.message : String(error);
    this.errors.set(text, (this.errors.get(text) ?? 0) + 1);
  }

  beginLoad(key: string): Load {
    const load: Load = { key, began: this.now, ended: undefined, ending: "under way", beaten: undefined };
    this.loads.push(load);
    return load;
  }

  endLoad(load: Load, ending: Ending): void {
    if (load.ended !== undefined) return;
    load.ended = this.now;
    load.ending = ending;
  }

  /** Something that loads under way lose against. */
  mark(what: string, beats: boolean): void {
    this.marks.push({ at: this.now, what });
    if (beats) for (const load of this.loads) if (load.ended === undefined) load.beaten ??= what;
  }

  count(kind: Kind): number {
    let n = 0;
    for (const each of this.kinds) if (each === kind) n++;
    return n;
  }
}
