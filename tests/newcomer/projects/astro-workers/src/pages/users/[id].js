import { user } from "../../lib/users.js";

export const GET = async ({ params }) => Response.json(await user(params.id));
