// Acquisitions that are sent to the endpoint, 32 in flight: wall time, and CPU time of all threads. With a small cache,
// a few resources are refreshed in turn; with a growing cache, every acquisition is for a new resource.

import { runConcurrently } from "./concurrency.mjs";
import { assertMeasured, open, resource } from "./contenders.mjs";

const CONCURRENCY = 32;
const WARM_UP = 10; // Refreshes per worker before the measurement.

const { contender, cache, acquisitions } = JSON.parse(process.argv[2]);
const { call, request, refresh, check, tokenOf } = await open(contender);

// Each worker has its own resource, because concurrent refreshes of one resource could share a request. A contender
// without forceRefresh acquires each once.
const resourceOf = (worker) =>
  cache === "small" ? resource(worker) : `https://warm-up-${worker}.example.net`;
const warmed = refresh === undefined ? CONCURRENCY : CONCURRENCY * WARM_UP;
await runConcurrently(warmed, CONCURRENCY, (_, worker) => call((refresh ?? request)(resourceOf(worker))));

const seen = new Set();
const cpuBefore = process.cpuUsage();
const started = process.hrtime.bigint();
await runConcurrently(acquisitions, CONCURRENCY, async (index, worker) => {
  const result = await call(cache === "small" ? refresh(resourceOf(worker)) : request(resource(index)));
  check(result, false);
  seen.add(tokenOf(result));
});
const wallUs = Number(process.hrtime.bigint() - started) / 1000;
const cpu = process.cpuUsage(cpuBefore);
assertMeasured(seen.size === acquisitions, "a new token each time");

const values = { wall: wallUs / acquisitions, cpu: (cpu.user + cpu.system) / acquisitions };
console.log(JSON.stringify({ values, requests: warmed + acquisitions }));
