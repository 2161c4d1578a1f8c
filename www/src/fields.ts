// A form's fields and what is wrong with them, said beside each.

import { NearCache } from "nearcache";

export type Reader<T> = (text: string) => T;

/** The form's values, or `undefined` while one of them is wrong. */
export class Fields<T extends object> {
  readonly #readers: [HTMLInputElement, keyof T, Reader<unknown>][] = [];

  constructor(
    readonly form: HTMLFormElement,
    readers: { [N in keyof T]: Reader<T[N]> | "switch" },
    changed: (values: T | undefined) => void,
  ) {
    for (const name of Object.keys(readers) as (keyof T & string)[]) {
      // A select is read like an input that can't be wrong.
      const input = form.elements.namedItem(name) as HTMLInputElement;
      const reader = readers[name];
      this.#readers.push([input, name, reader === "switch" ? () => input.checked : reader]);
      input.addEventListener("input", () => changed(this.read()));
    }
  }

  read(): T | undefined {
    let right = true;
    const values: Partial<T> = {};
    for (const [input, name, reader] of this.#readers) {
      let wrong = "";
      try {
        values[name] = reader(input.value.trim()) as never;
      } catch (error) {
        wrong = (error as Error).message;
        right = false;
      }
      const place = document.getElementById(`${input.id}-error`);
      if (place === null || place.textContent === wrong) continue;
      place.textContent = wrong;
      if (wrong === "") input.removeAttribute("aria-invalid");
      else input.setAttribute("aria-invalid", "true");
    }
    return right ? (values as T) : undefined;
  }

  focusWrong(): void {
    this.form.querySelector<HTMLInputElement>("[aria-invalid]")?.focus();
  }
}

/** A whole number of the page's own. */
export function whole(name: string, least: number, most: number): Reader<number> {
  return (text) => {
    const value = Number(text);
    if (text !== "" && Number.isInteger(value) && value >= least && value <= most) return value;
    throw new Error(`${name}: got ${JSON.stringify(text)}, wants a whole number from ${least} to ${most}`);
  };
}

/** An option of the cache's, which judges it itself. */
export function option<T>(name: "ttl" | "hardTimeout" | "maxEntries"): Reader<T> {
  return (text) => {
    const value = text === "" || Number.isNaN(Number(text)) ? text : Number(text);
    new NearCache({ [name]: value });
    return value as T;
  };
}
