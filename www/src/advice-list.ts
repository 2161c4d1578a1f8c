// What the cache advises by its own figures. Where the page has a field for the option, a button tries it.

import { advise, type Advice, type NearCache } from "nearcache";
import { set } from "./figures.js";

interface Row {
  row: HTMLElement;
  what: HTMLElement;
  why: HTMLElement;
}

/** The rows are made once and only written to, so that a button keeps its focus. */
export class AdviceList {
  readonly #rows = new Map<Advice["option"], Row>();
  readonly #suggested = new Map<Advice["option"], number>();

  constructor(
    readonly list: HTMLElement,
    readonly none: HTMLElement,
    /** The field of an option. */
    readonly field: (option: string) => HTMLInputElement | null,
  ) {}

  show(cache: NearCache<string, string>): void {
    const all = advise(cache);
    const options = new Set(all.map(({ option }) => option));
    for (const [option, { row }] of this.#rows) row.hidden = !options.has(option);
    for (const { option, suggested, why: reason } of all) {
      const { row, what, why } = this.#rows.get(option) ?? this.#add(option);
      row.hidden = false;
      this.#suggested.set(option, suggested);
      set(what, `${option}: ${suggested}`);
      set(why, reason);
    }
    this.none.hidden = all.length > 0;
  }

  #add(option: Advice["option"]): Row {
    const [row, what, why] = ["li", "code", "span"].map((tag) => document.createElement(tag)) as [
      HTMLElement,
      HTMLElement,
      HTMLElement,
    ];
    row.append(what, why);
    const field = this.field(option);
    if (field !== null) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.option = option;
      button.textContent = `try this ${option}`;
      button.addEventListener("click", () => {
        field.value = `${this.#suggested.get(option)}`;
        field.dispatchEvent(new Event("input"));
        // The advice goes, and its button with it.
        field.focus();
      });
      row.append(button);
    }
    this.list.append(row);
    const made = { row, what, why };
    this.#rows.set(option, made);
    return made;
  }
}
