import { json } from "@sveltejs/kit";
import { user } from "#lib/server/users.js";

export const GET = async ({ params }) => json(await user(params.id));
