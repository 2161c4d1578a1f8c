// The decorator, for methods. TypeScript 5 or anything else that knows standard decorators.
import { cached, NearCache } from "nearcache";

const cache = new NearCache<string, string>({ ttl: "1m" });

class Users {
  private calls = 0;
  constructor(private readonly table: string) {}

  @cached({ cache })
  async find(id: number): Promise<string> {
    return `${++this.calls}: ${this.table} ${id}`;
  }
}

const users = new Users("users");
const admins = new Users("admins");
console.log(await users.find(1), await users.find(1), await admins.find(1)); // instances never share entries
console.log(await cached.of(users, users.find).refresh(1));
console.log(cached.of(users, users.find).invalidate(1), cached.of(admins, admins.find).invalidate(2));

// prints:
// 1: users 1 1: users 1 1: admins 1
// 2: users 1
// true false
