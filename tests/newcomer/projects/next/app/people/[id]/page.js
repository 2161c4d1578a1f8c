import { user } from "../../../lib/users.js";

export const dynamic = "force-dynamic";

export default async function Person({ params }) {
  const { id } = await params;
  return <pre>{JSON.stringify(await user(id))}</pre>;
}
