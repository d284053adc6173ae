// The cached call on several worker threads concurrently: CPU time of the process per call, and calls per second of all
// threads.

import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { assertMeasured, open, resource } from "./contenders.mjs";

const BATCH = 500;

async function work({ contender, forMs }) {
  const { call, request, check } = await open(contender);
  const input = request(resource(0));
  await call(input);
  for (let warm = 0; warm < 20_000; warm += 1) await call(input);
  parentPort.postMessage("ready");
  await new Promise((resolve) => parentPort.once("message", resolve));
  const until = Date.now() + forMs;
  let calls = 0;
  let result;
  while (Date.now() < until) {
    for (let made = 0; made < BATCH; made += 1) result = await call(input);
    calls += BATCH;
  }
  check(result, true);
  parentPort.postMessage(calls);
}

/** The next message of every worker; rejects if one fails. */
function nextMessages(workers) {
  const nextMessage = (worker) =>
    new Promise((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
  return Promise.all(workers.map(nextMessage));
}

async function coordinate(plan) {
  const workers = Array.from(
    { length: plan.threads },
    () => new Worker(new URL(import.meta.url), { workerData: plan }),
  );
  await nextMessages(workers);
  const cpuBefore = process.cpuUsage();
  const finished = nextMessages(workers);
  for (const worker of workers) worker.postMessage("go");
  const counts = await finished;
  const cpu = process.cpuUsage(cpuBefore);
  const calls = counts.reduce((sum, count) => sum + count, 0);
  assertMeasured(
    counts.every((count) => count >= BATCH),
    "calls on every thread",
  );
  const values = { us: (cpu.user + cpu.system) / calls, perSecond: (calls * 1000) / plan.forMs, calls };
  // One token for all threads, or one per thread.
  console.log(JSON.stringify({ values, requests: plan.sharesCache ? 1 : plan.threads }));
}

if (isMainThread) await coordinate(JSON.parse(process.argv[2]));
else await work(workerData);
