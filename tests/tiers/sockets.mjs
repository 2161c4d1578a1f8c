// Redis over sockets whose other end is a test's: what a server may send, in pieces of any size, and what is sent to it.

import { redisSocketTier } from "nearcache/tiers";
import { context, equal, ok, rejects, sleep, test, throws } from "../js/runner.mjs";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const toBytes = (text) => encoder.encode(text);

/** `connect` to a server that `answer`s what was sent on a connection, all of it each time, with pieces, or hangs up. */
function connectTo(answer) {
  const connections = [];
  const connect = (address, options) => {
    const connection = { address, options, sent: "", closed: false };
    connections.push(connection);
    let controller;
    const end = () => {
      try {
        controller.close();
      } catch {
        // It is closed.
      }
    };
    return {
      opened: Promise.resolve({}),
      readable: new ReadableStream({ start: (given) => void (controller = given) }),
      writable: new WritableStream({
        write(bytes) {
          connection.sent += decoder.decode(bytes);
          for (const piece of answer(connection.sent, connection) ?? []) controller.enqueue(piece);
          if (connection.hangsUp) end();
        },
      }),
      async close() {
        connection.closed = true;
        end();
      },
    };
  };
  return { connect, connections };
}

const tierTo = (answer, options) => {
  const { connect, connections } = connectTo(answer);
  return { tier: redisSocketTier(connect, "redis://host", { commandTimeout: 50, ...options }), connections };
};

/** A sequence of its own for each test and seed. */
function randomOf(seed) {
  let state = (seed * 2654435761) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

function joined(...parts) {
  return Uint8Array.from(parts.flatMap((part) => [...(typeof part === "string" ? toBytes(part) : part)]));
}

/** Bytes as pieces of sizes that are drawn: small ones, large ones, one for each. */
function pieces(bytes, random) {
  const list = [];
  const longest = 1 + random(2) * random(bytes.length + 1);
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + random(longest);
    list.push(bytes.slice(at, end));
    at = end;
  }
  return list;
}

test("replies in pieces of any size are what was sent", async () => {
  const random = randomOf(context.seed);
  for (let round = 0; round < 300; round++) {
    const values = Array.from({ length: 1 + random(20) }, () =>
      random(4) === 0 ? undefined : Uint8Array.from({ length: random(3) * random(300) }, () => random(256)),
    );
    const bulk = (value) => (value === undefined ? "$-1\r\n" : joined(`$${value.length}\r\n`, value, "\r\n"));
    const reply = joined(`*${values.length}\r\n`, ...values.map(bulk));
    const { tier } = tierTo(() => pieces(reply, random));
    equal(await tier.getMany(values.map(String)), values);
  }
});

test("whatever a server sends is an answer or an error, in time, and of bounded size", async () => {
  const random = randomOf(context.seed + 1);
  const bits = ["+", "-", ":", "$", "*", "\r\n", "\r", "\n", "-1", "0", "1", "3", "99999999999", "abc", "\0\xff", " "];
  let [errors, answers] = [0, 0];
  for (let round = 0; round < 2_000; round++) {
    const rubbish = Array.from({ length: random(12) }, () => bits[random(bits.length)]).join("");
    const kinds = [
      rubbish,
      Array.from({ length: random(30) }, () => random(256)),
      "*3\r\n$1\r\nv\r\n$-1\r\n$2\r\nab\r\n",
    ];
    const bytes = joined(kinds[random(3)]);
    if (bytes.length > 0) bytes[random(bytes.length)] ^= 1 << random(12);
    const { tier, connections } = tierTo(
      (_, connection) => {
        connection.hangsUp = true;
        return pieces(bytes, random);
      },
      { maxReplyBytes: 1_000 },
    );
    try {
      await (random(2) === 0 ? tier.get("name") : tier.getMany(["a", "b", "c"]));
      answers++;
    } catch (error) {
      ok(error instanceof Error, String(error));
      errors++;
    }
    ok(connections.every(({ closed }) => closed));
  }
  ok(errors > 500 && answers > 5, `${errors} errors, ${answers} answers`);
});

test("a reply that would fill the memory is refused before there is room made for it", async () => {
  const replies = {
    "one string": "$999999999999\r\n",
    "a string beyond what is allowed": "$1000001\r\n",
    "many strings": `*1000\r\n${"$100000\r\n"}${"x".repeat(100_000)}\r\n`.concat(
      `$100000\r\n${"x".repeat(100_000)}\r\n`.repeat(12),
    ),
    "many empty values": `*1000000\r\n${"*0\r\n".repeat(10_000)}`,
    "arrays in arrays": "*1\r\n".repeat(100),
    "a line without an end": `+${"x".repeat(10_000)}`,
  };
  for (const [what, reply] of Object.entries(replies)) {
    const { tier } = tierTo(() => [toBytes(reply)], { maxReplyBytes: 1_000_000 });
    await rejects(tier.getMany(["a"]), { message: /more than/ }, what);
  }
});

test("errors of Redis are failures, and say what it says", async () => {
  const { tier } = tierTo(() => [toBytes("-OOM command not allowed\r\n")]);
  await rejects(tier.set({ name: "n", bytes: toBytes("v"), ttl: 1 }), { message: "redis: OOM command not allowed" });
  const mixed = tierTo((sent) => [toBytes(sent.includes("b") ? "+OK\r\n-READONLY no\r\n" : "+OK\r\n")]).tier;
  const entry = (name) => ({ name, bytes: toBytes("v"), ttl: 1 });
  await rejects(mixed.setMany([entry("a"), entry("b")]), { message: "redis: READONLY no" });
});

test("user, password and database go before all else, and together with it", async () => {
  const { connect, connections } = connectTo(() => [toBytes("+OK\r\n+OK\r\n$1\r\nv\r\n")]);
  const tier = redisSocketTier(connect, "rediss://us%3Aer:pass%20word@[::1]:7000/12", { prefix: "" });
  equal(await tier.get("n"), toBytes("v"));
  const [{ sent, address, options, closed }] = connections;
  equal([address.port, options.secureTransport, closed], [7000, "on", true]);
  equal(
    sent,
    "*3\r\n$4\r\nAUTH\r\n$5\r\nus:er\r\n$9\r\npass word\r\n*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n*2\r\n$3\r\nGET\r\n$1\r\nn\r\n",
  );
});

test("who is not let in hears of it, and has written nothing", async () => {
  const { connect, connections } = connectTo(() => [toBytes("-WRONGPASS no\r\n-NOAUTH sorry\r\n")]);
  const tier = redisSocketTier(connect, "redis://:secret@host/1");
  await rejects(tier.get("n"), { message: "redis: WRONGPASS no" });
  await rejects(tier.set({ name: "n", bytes: toBytes("v"), ttl: 1 }), { message: "redis: WRONGPASS no" });
  equal(
    connections.map(({ sent }) => /GET|SET/.exec(sent)?.[0]),
    ["GET", undefined],
  );
});

test("addresses that are none are refused, and no password is shown", () => {
  const bad = ["", "host", "http://u:secret@h", "redis://", "redis://u:secret@/0", "redis://u@h", "redis://h/x", 6379];
  const worse = [
    undefined,
    "redis://u:secret@h/0?x",
    "redis://u:secret@h:99999",
    "redis://u:%secret@h",
    "redis://h/1/2",
  ];
  for (const url of [...bad, ...worse]) {
    throws(
      () => redisSocketTier(() => {}, url),
      { code: "ERR_OPTION", message: /^url: got (?!.*secret)/ },
      String(url),
    );
  }
  throws(() => redisSocketTier(undefined, "redis://h"), { code: "ERR_OPTION" });
  throws(() => redisSocketTier(() => {}, "redis://h", { commandTimeout: "soon" }), { code: "ERR_OPTION" });
});

test("a server that says nothing, or nothing for a while, costs the command's time", async () => {
  for (const answer of [() => undefined, () => [toBytes("$5\r\nab")]]) {
    const { tier, connections } = tierTo(answer);
    await rejects(tier.get("n"), { message: /^redis: no reply within/ });
    ok(connections[0].closed);
  }
});

test("a connection that is kept serves all calls, side by side, and is closed when nobody uses it", async () => {
  const random = randomOf(context.seed + 2);
  // As many answers as names were asked for so far that were not answered.
  const { tier, connections } = tierTo(
    (sent, connection) => {
      const asked = [...sent.matchAll(/GET\r\n\$\d+\r\n(.*)\r\n/g)].map(([, name]) => name);
      const fresh = asked.slice(connection.answered ?? 0);
      connection.answered = asked.length;
      return pieces(joined(...fresh.map((name) => `$${name.length}\r\n${name}\r\n`)), random);
    },
    { idleTimeout: 30, prefix: "" },
  );
  const names = Array.from({ length: 100 }, (_, at) => `name ${at}`);
  equal(
    (await Promise.all(names.map((name) => tier.get(name)))).map((bytes) => decoder.decode(bytes)),
    names,
  );
  await tier.get("one more");
  equal(connections.length, 1);
  ok(!connections[0].closed);
  await sleep(60);
  ok(connections[0].closed);
  await tier.get("later");
  equal(connections.length, 2);
  await tier.close();
  ok(connections[1].closed);
});

test("replies to nothing end a connection, and the next call has a new one", async () => {
  let extra = "";
  const { tier, connections } = tierTo(() => [toBytes(`$1\r\nv\r\n${extra}`)], { idleTimeout: 1_000 });
  extra = "$1\r\nw\r\n";
  equal(await tier.get("a"), toBytes("v"));
  await sleep(1);
  extra = "";
  equal(await tier.get("b"), toBytes("v"));
  equal([connections.length, connections[0].closed], [2, true]);
  await tier.close();
});
