// How long the event loop is kept from other work: while many callers ask for one cold token at once, or while
// acquisitions run with 32 in flight. Two probes, each in a process of its own: perf_hooks' histogram, and the
// longest gap between two turns of setImmediate, which sees every turn. In a process that has done it a number of
// times, as a service has, or for the first time.

import { monitorEventLoopDelay } from "node:perf_hooks";
import { runConcurrently } from "./concurrency.mjs";
import { assertMeasured, open, resource } from "./contenders.mjs";

const LANES = 32;
const RESOLUTION_MS = 1;

const { contender, load, count, probe, warmUps } = JSON.parse(process.argv[2]);
const { call, request, refresh, check } = await open(contender);

const loads = {
  async callers(round) {
    const results = await Promise.all(Array.from({ length: count }, () => call(request(resource(round)))));
    check(results[0], false); // The last may already be served from the cache.
    assertMeasured(results.length === count, "a result for each");
  },
  async acquisitions() {
    await runConcurrently(count, LANES, async (_, lane) => check(await call(refresh(resource(lane))), false));
  },
};

const probes = {
  async histogram(work) {
    const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    histogram.enable();
    await pause();
    histogram.reset();
    await pause(); // The first firing after a reset is not counted.
    await work();
    await pause(); // The delay that the work's last turn caused is seen by the timer after it.
    histogram.disable();
    assertMeasured(histogram.count > 0, "samples");
    // Each sample is the time between two firings of a timer, so that its period is no delay.
    const delay = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
    return { p99: delay(histogram.percentile(99)), max: delay(histogram.max) };
  },

  async gaps(work) {
    let longest = 0;
    let last = process.hrtime.bigint();
    let over = false;
    const turn = () => {
      const now = process.hrtime.bigint();
      const gap = Number(now - last) / 1e6;
      if (gap > longest) longest = gap;
      last = now;
      if (!over) setImmediate(turn);
    };
    await pause();
    last = process.hrtime.bigint();
    setImmediate(turn);
    await work();
    over = true;
    await new Promise((resolve) => setImmediate(resolve));
    return { longest };
  },
};

function pause() {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

for (let round = 0; round < warmUps; round += 1) await loads[load](round);
const values = await probes[probe](() => loads[load](warmUps));
console.log(
  JSON.stringify({ values, requests: load === "acquisitions" ? count * (warmUps + 1) : undefined }),
);
