import { type Command, encodeCommands, type Reply, ReplyReader } from "./resp.js";

/** `connect` of `cloudflare:sockets`, as far as it is used. */
export type Connect = (
  address: { hostname: string; port: number },
  options: { secureTransport: "on" | "off"; allowHalfOpen: boolean },
) => TcpSocket;

/** A socket of `cloudflare:sockets`, as far as it is used. */
export interface TcpSocket {
  readonly opened: Promise<unknown>;
  readonly readable: ReadableStream;
  readonly writable: WritableStream;
  close(): Promise<void>;
}

/** Where a Redis is, and who asks it. */
export interface RedisAddress {
  readonly hostname: string;
  readonly port: number;
  readonly tls: boolean;
  /** What a connection begins with: who it is, and which database it wants. */
  readonly greeting: readonly Command[];
}

/** Milliseconds and bytes. */
export interface ConnectionLimits {
  readonly connectTimeout: number;
  readonly commandTimeout: number;
  readonly maxReplyBytes: number;
}

const READING = new Set(["GET", "MGET", "SCAN"]);

interface Waiting {
  /** So many replies are still to come, */
  left: number;
  /** and these have. */
  readonly replies: Reply[];
  /** Whether a refusal is the end of the connection. */
  readonly greets: boolean;
  readonly resolve: (replies: Reply[]) => void;
  readonly reject: (error: Error) => void;
  readonly timer: unknown;
}

/**
 * A connection to Redis. Commands go out at once, in their order, without waiting for replies to those before. It ends with its first failure:
 * after one nobody knows which reply belongs to whom.
 */
export class Connection {
  readonly #socket: TcpSocket;
  readonly #writer: WritableStreamDefaultWriter;
  readonly #limits: ConnectionLimits;
  readonly #waiting: Waiting[] = [];
  #greeting: Promise<unknown> | undefined = undefined;
  #opened = false;
  #ended: Error | undefined = undefined;

  constructor(connect: Connect, address: RedisAddress, limits: ConnectionLimits) {
    const { hostname, port, tls, greeting } = address;
    this.#limits = limits;
    this.#socket = connect({ hostname, port }, { secureTransport: tls ? "on" : "off", allowHalfOpen: false });
    this.#writer = this.#socket.writable.getWriter();
    const { connectTimeout } = limits;
    const timer = setTimeout(() => this.#end(`no connection within ${connectTimeout} ms`), connectTimeout);
    this.#socket.opened.then(
      () => {
        this.#opened = true;
        clearTimeout(timer);
      },
      (error: unknown) => {
        clearTimeout(timer);
        this.#end(String(error));
      },
    );
    void this.#read(limits.maxReplyBytes);
    if (greeting.length > 0) {
      this.#greeting = this.#ask(greeting, true);
      // Who waits for it hears of its failure, and all others of the connection's.
      this.#greeting.catch(() => {});
    }
  }

  /** Whether it has failed or was closed. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** The replies to some commands, errors among them. */
  async send(commands: readonly Command[]): Promise<Reply[]> {
    if (commands.length === 0) return [];
    // What reads may go with the greeting, whose failure ends the connection. What writes must not be done by somebody else, or elsewhere.
    if (!commands.every(([name]) => READING.has(name as string))) await this.#greeting;
    return this.#ask(commands, false);
  }

  #ask(commands: readonly Command[], greets: boolean): Promise<Reply[]> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const { connectTimeout, commandTimeout } = this.#limits;
    const millis = commandTimeout + (this.#opened ? 0 : connectTimeout);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#end(`no reply within ${millis} ms`), millis);
      this.#waiting.push({ left: commands.length, replies: [], greets, resolve, reject, timer });
      this.#writer.write(encodeCommands(commands)).catch((error: unknown) => this.#end(String(error)));
    });
  }

  close(): void {
    this.#end("the connection is closed");
  }

  async #read(maxReplyBytes: number): Promise<void> {
    try {
      const reader = this.#socket.readable.getReader();
      const replies = new ReplyReader(maxReplyBytes);
      for (;;) {
        const { done, value } = await reader.read();
        if (this.#ended !== undefined) return;
        if (done) return this.#end("the server closed the connection");
        for (const reply of replies.push(value as Uint8Array)) this.#take(reply);
      }
    } catch (error) {
      this.#end(error as Error);
    }
  }

  #take(reply: Reply): void {
    const waiting = this.#waiting[0];
    if (waiting === undefined) throw reply instanceof Error ? reply : new Error("redis: a reply to nothing");
    if (waiting.greets && reply instanceof Error) throw reply;
    waiting.replies.push(reply);
    if (--waiting.left > 0) return;
    this.#waiting.shift();
    clearTimeout(waiting.timer as number);
    waiting.resolve(waiting.replies);
  }

  #end(why: Error | string): void {
    if (this.#ended !== undefined) return;
    const error = (this.#ended = typeof why === "string" ? new Error(`redis: ${why}`) : why);
    for (const { timer, reject } of this.#waiting.splice(0)) {
      clearTimeout(timer as number);
      reject(error);
    }
    this.#socket.close().catch(() => {});
  }
}
