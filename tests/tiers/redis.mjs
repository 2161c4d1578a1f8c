// A real redis-server of a test's own, and clients of both kinds.

import { once } from "node:events";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { scratch } from "../js/workerd.mjs";
import { freePort, start } from "../processes.mjs";

export class RedisServer {
  #process;

  static async start(options = []) {
    const server = new RedisServer();
    server.port = await freePort();
    server.options = options;
    await server.up();
    return server;
  }

  async up() {
    const args = ["--port", String(this.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    this.#process = start("redis-server", [...args, "--dir", scratch(), ...this.options], {});
    const client = await this.client();
    await client.ping();
    client.destroy();
  }

  /** Ends it at once, as a machine that goes. */
  async down() {
    const ended = once(this.#process.child, "exit");
    this.#process.stop();
    await ended;
  }

  pause() {
    process.kill(this.#process.child.pid, "SIGSTOP");
  }

  resume() {
    process.kill(this.#process.child.pid, "SIGCONT");
  }

  /** A client of node-redis. */
  async client() {
    const client = createClient({
      socket: { port: this.port, host: "127.0.0.1", reconnectStrategy: () => 50 },
      disableOfflineQueue: true,
    });
    client.on("error", () => {});
    await client.connect();
    return client;
  }

  /** A client of ioredis. */
  async io() {
    const client = new Redis({ port: this.port, host: "127.0.0.1", retryStrategy: () => 50, lazyConnect: true });
    client.on("error", () => {});
    await client.connect();
    return client;
  }
}

/** A client that counts round trips: commands that were sent in one turn go together. */
export function counting(client) {
  const counted = { trips: 0, commands: [] };
  let open = false;
  const count = (command) => {
    counted.commands.push(command);
    if (!open) {
      open = true;
      counted.trips++;
      setImmediate(() => (open = false));
    }
  };
  const proxy = {
    get isReady() {
      return client.isReady;
    },
    withTypeMapping(mapping) {
      const inner = client.withTypeMapping(mapping);
      return {
        sendCommand(args) {
          count(String(args[0]));
          return inner.sendCommand(args);
        },
      };
    },
  };
  return { client: proxy, counted };
}
