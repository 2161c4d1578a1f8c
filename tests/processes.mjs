// Servers that tests start: on ports of their own, in process groups of their own, and gone with the test.

import { spawn } from "node:child_process";
import net from "node:net";

export async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

// Each server listens for the end of the process.
process.setMaxListeners(100);

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(130));

/** A server that runs until it is stopped, at the latest with this process. `stdio`: what it has beside the usual three. */
export function start(command, args, { stdio = [], ...options }) {
  // A group of its own, because these servers have children.
  const child = spawn(command, args, { ...options, detached: true, stdio: ["ignore", "pipe", "pipe", ...stdio] });
  let log = "";
  child.stdout.on("data", (text) => (log += text));
  child.stderr.on("data", (text) => (log += text));
  const stop = () => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has ended, with all that it started.
    }
  };
  process.on("exit", stop);
  /** Waits, a minute at most, until the server answers this URL at all. */
  const answers = async (url) => {
    for (let tries = 0; tries < 300 && child.exitCode === null; tries++) {
      try {
        return await (await fetch(url)).arrayBuffer();
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
    stop();
    throw new Error(`${command} did not answer:\n${log}`);
  };
  return { child, stop, answers, log: () => log, pid: child.pid };
}
