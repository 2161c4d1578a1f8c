// Messages of invalidation as JS has them: the fields of the crate's `tier::message`.

/** What is told of: one of an entity, a tag, a URL and a prefix of URLs, or nothing, which is everything. */
export interface PurgeSubject {
  readonly entity?: string | undefined;
  readonly id?: string | undefined;
  readonly tag?: string | undefined;
  readonly url?: string | undefined;
  readonly prefix?: string | undefined;
}

/** A message of invalidation. */
export interface PurgeMessage extends PurgeSubject {
  readonly action: "create" | "update" | "delete" | "expire" | "clear";
}

/** What is to be done about a message. */
export interface Purge {
  readonly kind: "tag" | "url" | "prefix" | "everything";
  readonly name: string;
  /** Whether it is stale only. */
  readonly soft: boolean;
}

/** So many characters can a message have. */
export const LONGEST = 4_096;

const FIELDS = ["entity", "id", "tag", "url", "prefix"] as const;

/** The fields as the wasm takes them; nothing if one is no string with something in it. */
export function fieldsOf(message: Record<string, unknown>): string[] | undefined {
  const fields = FIELDS.map((name) => message[name]);
  const { action } = message;
  if (typeof action !== "string") return undefined;
  if (!fields.every((field) => field === undefined || (typeof field === "string" && field !== ""))) return undefined;
  return [...fields.map((field) => (field as string | undefined) ?? ""), action];
}

/** The fields of a message in JSON; nothing if it is none. */
export function parseMessage(text: unknown): Record<string, unknown> | undefined {
  if (typeof text !== "string" || text.length > LONGEST) return undefined;
  try {
    const json = JSON.parse(text);
    return typeof json === "object" && json !== null && json.v === 1 ? json : undefined;
  } catch {
    return undefined;
  }
}

/** What the error says by which a log refuses a message. */
export const NO_MESSAGE = "not a message of invalidation";

/** Whether a log has refused a message, rather than not been reached. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.message.includes(NO_MESSAGE);
}

/** What the wasm says is to be purged. */
export function toPurge([kind, name, soft]: string[]): Purge {
  return { kind: kind as Purge["kind"], name: name!, soft: soft === "soft" };
}
