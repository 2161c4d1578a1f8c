import { user } from "./users.js";

globalThis.answers = await Promise.all(Array.from({ length: 20 }, () => user("ada")));
