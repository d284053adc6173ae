// Worker threads that each need a token: they share one cache and one request without passing data.

import { once } from "node:events";
import { Worker } from "node:worker_threads";

const SIZE = 4;

const workers = Array.from({ length: SIZE }, () => new Worker(new URL("worker.mjs", import.meta.url)));
const reports = await Promise.all(workers.map(async (worker) => (await once(worker, "message"))[0]));
for (const { thread, fromCache, attempts } of reports) {
  console.log(`thread ${thread}: ${fromCache ? "from the cache" : `from the endpoint, ${attempts} request`}`);
}
console.log(`${new Set(reports.map(({ digest }) => digest)).size} token for ${SIZE} threads`);
