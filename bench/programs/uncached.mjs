// Acquisitions that leave for the endpoint, with so many in flight: wall time, and CPU time of all threads. With a
// small cache a few resources are refreshed in turn; with a growing one every acquisition is for a new resource.

import { runConcurrently } from "./concurrency.mjs";
import { assertMeasured, open, resource } from "./contenders.mjs";

const LANES = 32;
const WARM_UP = 10; // Refreshes of a resource of each lane before anything is measured.

const { contender, cache, acquisitions } = JSON.parse(process.argv[2]);
const { call, request, refresh, check, tokenOf } = await open(contender);

// Each lane has a resource of its own: two refreshes of one resource at a time might share a request. Who cannot skip
// the cache asks for each once.
const ofLane = (lane) => (cache === "small" ? resource(lane) : `https://warm-up-${lane}.example.net`);
const warmed = refresh === undefined ? LANES : LANES * WARM_UP;
await runConcurrently(warmed, LANES, (_, lane) => call((refresh ?? request)(ofLane(lane))));

const seen = new Set();
const cpuBefore = process.cpuUsage();
const started = process.hrtime.bigint();
await runConcurrently(acquisitions, LANES, async (index, lane) => {
  const result = await call(cache === "small" ? refresh(ofLane(lane)) : request(resource(index)));
  check(result, false);
  seen.add(tokenOf(result));
});
const wallUs = Number(process.hrtime.bigint() - started) / 1000;
const cpu = process.cpuUsage(cpuBefore);
assertMeasured(seen.size === acquisitions, "a new token each time");

const values = { wall: wallUs / acquisitions, cpu: (cpu.user + cpu.system) / acquisitions };
console.log(JSON.stringify({ values, requests: warmed + acquisitions }));
