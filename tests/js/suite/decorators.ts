// @cached, compiled: no engine knows decorators yet.

import { cached, NearCache } from "nearcache";
import { equal, rejects, test, throws } from "../runner.mjs";

const cache = new NearCache<unknown, any>();
const calls: string[] = [];

class Users {
  constructor(readonly table: string) {}

  @cached({ cache, ttl: "1m" })
  async find(id: string, page = 1): Promise<string> {
    calls.push(`${this.table} ${id}`);
    return `${this.table} ${id} ${page} ${calls.length}`;
  }

  @cached({ cache })
  async #hidden(id: string): Promise<string> {
    calls.push(`hidden ${this.table} ${id}`);
    return `${this.table} ${id}`;
  }
  hidden(id: string): Promise<string> {
    return this.#hidden(id);
  }
  forget(id: string): boolean {
    return cached.of(this, this.#hidden).invalidate(id);
  }

  static kind = "any";
  @cached({ cache })
  static async count(of: string): Promise<string> {
    calls.push(`count ${this.kind} ${of}`);
    return `${this.kind} ${of}`;
  }

  @cached({
    cache,
    perInstance: false,
    getKey(this: Users, id: string) {
      return [this.table, id];
    },
  })
  async shared(id: string): Promise<string> {
    calls.push(`shared ${this.table} ${id}`);
    return `${this.table} ${id}`;
  }

  @cached({ cache, getKey: (id: string) => id.toLowerCase() })
  async lower(id: string): Promise<string> {
    calls.push(`lower ${this.table} ${id}`);
    return `${this.table} ${id}`;
  }
}

class Admins extends Users {
  static override kind = "admins";
  override async find(id: string): Promise<string> {
    return `admin ${await super.find(id)}`;
  }
}

/** What was called, by the way. */
async function during<T>(body: () => Promise<T>): Promise<[T, string[]]> {
  calls.length = 0;
  return [await body(), [...calls]];
}

test("a decorated method keeps its this, and instances never mix", async () => {
  const [a, b] = [new Users("a"), new Users("b")];
  const [values, called] = await during(() =>
    Promise.all([a.find("1"), b.find("1"), a.find("1"), b.find("1"), a.find("1", 2)]),
  );
  equal(values, ["a 1 1 1", "b 1 1 2", "a 1 1 1", "b 1 1 2", "a 1 2 3"]);
  equal([called, a.find.name, Object.keys(a)], [["a 1", "b 1", "a 1"], "find", ["table"]]);
});

test("cached.of gives a decorated method's controls for one object", async () => {
  const [a, b] = [new Users("a"), new Users("b")];
  await during(() => Promise.all([a.find("1"), b.find("1")]));
  const find = cached.of(a, a.find);
  equal(
    [await find("1"), await find.refresh("1"), await a.find("1"), await b.find("1")],
    ["a 1 1 1", "a 1 1 3", "a 1 1 3", "b 1 1 2"],
  );
  equal([await find.bypass("1"), await a.find("1")], ["a 1 1 4", "a 1 1 3"]);
  equal([find.cache.get(find.key("1")), find.key("1") === cached.of(b, b.find).key("1")], ["a 1 1 3", false]);
  equal([find.invalidate("1"), find.invalidate("1"), await b.find("1")], [true, false, "b 1 1 2"]);
  equal(await a.find("1"), "a 1 1 5");
});

test("a decorated method's controls without their object are an error, not silence", async () => {
  const a = new Users("a");
  const { invalidate, refresh } = a.find as any;
  const message = "this: got the method itself, wants cached.of(object, object.find).refresh(…) and the like";
  throws(() => (a.find as any).invalidate("1"), { code: "ERR_OPTION", message });
  await rejects((a.find as any).refresh("1"), { code: "ERR_OPTION", message });
  await a.find("1");
  equal([(await refresh.call(a, "1")) === (await a.find("1")), invalidate.call(a, "1")], [true, true]);
});

test("a private method may be decorated", async () => {
  const [a, b] = [new Users("a"), new Users("b")];
  const [values, called] = await during(() => Promise.all([a.hidden("1"), a.hidden("1"), b.hidden("1")]));
  equal(
    [values, called],
    [
      ["a 1", "a 1", "b 1"],
      ["hidden a 1", "hidden b 1"],
    ],
  );
  equal([a.forget("1"), a.forget("1"), b.forget("1")], [true, false, true]);
});

test("a static method's entries are its class's, and not those of classes that inherit it", async () => {
  const [values, called] = await during(() =>
    Promise.all([Users.count("x"), Admins.count("x"), Users.count("x"), Admins.count("x")]),
  );
  equal(
    [values, called],
    [
      ["any x", "admins x", "any x", "admins x"],
      ["count any x", "count admins x"],
    ],
  );
  equal([cached.of(Admins, Admins.count).invalidate("x"), cached.of(Users, Users.count).invalidate("x")], [true, true]);
});

test("an overriding method reaches the decorated one by super", async () => {
  const admin = new Admins("a");
  const [values, called] = await during(async () => [await admin.find("1"), await admin.find("1")]);
  equal([values, called], [["admin a 1 1 1", "admin a 1 1 1"], ["a 1"]]);
});

test("instances share entries if perInstance is false, and getKey has their this", async () => {
  const [values, called] = await during(() =>
    Promise.all([new Users("a").shared("1"), new Users("a").shared("1"), new Users("b").shared("1")]),
  );
  equal(
    [values, called],
    [
      ["a 1", "a 1", "b 1"],
      ["shared a 1", "shared b 1"],
    ],
  );
});

test("with a getKey, too, instances do not mix", async () => {
  const [a, b] = [new Users("a"), new Users("b")];
  const [values, called] = await during(() => Promise.all([a.lower("X"), a.lower("x"), b.lower("x")]));
  equal(
    [values, called],
    [
      ["a X", "a X", "b x"],
      ["lower a X", "lower b x"],
    ],
  );
});

test("a decorated method called without an object shares nothing with any", async () => {
  const { lower } = Users.prototype;
  const [, called] = await during(async () => {
    const a = new Users("a");
    await a.lower("1");
    await lower.call({ table: "other" } as Users, "1");
    await lower.call("1" as never, "1");
    await lower.call(1 as never, "1");
    await rejects(lower.call(undefined as never, "1"), { name: "TypeError" });
  });
  equal(called, ["lower a 1", "lower other 1", "lower undefined 1", "lower undefined 1"]);
});
