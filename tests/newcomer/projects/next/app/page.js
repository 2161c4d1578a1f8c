import { user } from "../lib/users.js";

export const dynamic = "force-dynamic";

export default async function Page() {
  return <p>{(await user("page")).id}</p>;
}
