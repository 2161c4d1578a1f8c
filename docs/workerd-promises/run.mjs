// node run.mjs [config|hurried] [ROUNDS]: rounds of 40 requests for 20 keys, so that each second one waits for a promise of another.
import { spawn } from "node:child_process";
import { once } from "node:events";
import workerd from "workerd";

const [config = "config", rounds = config === "hurried" ? 100 : 500] = process.argv.slice(2);

for (const way of ["async", "then", "executor", "withResolvers"]) {
  const args = ["serve", "config.capnp", config, "--control-fd=3"];
  const stdio = ["ignore", "ignore", "ignore", "pipe"];
  const child = spawn(workerd.default, args, { cwd: import.meta.dirname, stdio });
  const [told] = await once(child.stdio[3], "data");
  const { port } = JSON.parse(told);
  let sent = 0;
  let failed = 0;
  let first = "none";
  const ask = async (key) => {
    const number = ++sent;
    const answer = await fetch(`http://127.0.0.1:${port}/${way}?${key}`, { method: "POST", body: `${number}` });
    if ((await answer.text()) === `value ${number}`) return;
    failed++;
    if (first === "none") first = number;
  };
  for (let round = 0; round < rounds; round++) {
    await Promise.all(Array.from({ length: 40 }, (_, i) => ask(`${round}-${i % 20}`)));
  }
  console.log(`${way}: ${failed} of ${sent} requests failed, the first: ${first}`);
  child.kill();
}
