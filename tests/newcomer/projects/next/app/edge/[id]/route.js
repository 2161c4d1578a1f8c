import { user } from "../../../lib/users.js";

export const runtime = "edge";

export async function GET(request, { params }) {
  const { id } = await params;
  return Response.json(await user(id));
}
