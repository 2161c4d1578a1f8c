// How much memory a probed Worker holds.

import { readFileSync } from "node:fs";
import { get, sleep } from "./client.mjs";

const MIB = 1 << 20;

/**
 * After the garbage is collected, in MiB: V8's heap, with its buffers, the wasm's memory, and what the process holds, which is all
 * that and what the runtime's allocator has not given back.
 */
export async function memoryOf(server) {
  let wasm;
  // Some is let go of only when what was collected before has been told.
  for (let i = 0; i < 3; i++) {
    wasm = JSON.parse((await get(server, "/", { headers: { "x-probe": "memory" } })).text).wasm;
    await sleep(50);
  }
  const kib = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))[1]);
  const { usedSize, backingStorageSize = 0 } = await heapUsage(server.inspector);
  const rounded = (bytes) => Math.round((bytes / MIB) * 10) / 10;
  return { heap: rounded(usedSize + backingStorageSize), resident: Math.round(kib / 1024), wasm: rounded(wasm) };
}

/** What V8 itself says, by the inspector's protocol. */
async function heapUsage(port) {
  const [{ webSocketDebuggerUrl }] = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
  const socket = new WebSocket(webSocketDebuggerUrl);
  const { promise, resolve, reject } = Promise.withResolvers();
  socket.onopen = () => socket.send(JSON.stringify({ id: 1, method: "Runtime.getHeapUsage" }));
  socket.onerror = reject;
  socket.onmessage = ({ data }) => {
    const { id, result } = JSON.parse(data);
    if (id === 1) resolve(result);
  };
  try {
    return await promise;
  } finally {
    socket.close();
  }
}
