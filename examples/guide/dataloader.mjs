// graphql/dataloader's class: change the import, and nothing else.
import { DataLoader } from "nearcache";

const users = new DataLoader(
  async (ids) => {
    console.log("load", ids);
    return ids.map((id) => `user ${id}`);
  },
  { maxBatchSize: 2, name: "users" },
);

console.log(await Promise.all([users.load(1), users.load(2), users.load(1), users.load(3)]));
users.clear(1).prime(4, "user four");
console.log(await users.loadMany([1, 4]));

// prints:
// load [ 1, 2 ]
// load [ 3 ]
// [ 'user 1', 'user 2', 'user 1', 'user 3' ]
// load [ 1 ]
// [ 'user 1', 'user four' ]
