// How long the event loop is blocked: while many concurrent callers request one token that is not cached, or during
// acquisitions with 32 in flight. There are two probes, each in its own process: the histogram of perf_hooks, and the
// longest gap between two setImmediate callbacks, which covers every turn. The load runs for the first time in the
// process, or after warm-ups, as in a service.

import { monitorEventLoopDelay } from "node:perf_hooks";
import { runConcurrently } from "./concurrency.mjs";
import { assertMeasured, open, resource } from "./contenders.mjs";

const CONCURRENCY = 32;
const RESOLUTION_MS = 1;

const { contender, load, count, probe, warmUps } = JSON.parse(process.argv[2]);
const { call, request, refresh, check } = await open(contender);

const loads = {
  async callers(round) {
    const results = await Promise.all(Array.from({ length: count }, () => call(request(resource(round)))));
    check(results[0], false); // The last call may be served from the cache.
    assertMeasured(results.length === count, "a result for each");
  },
  async acquisitions() {
    await runConcurrently(count, CONCURRENCY, async (_, worker) =>
      check(await call(refresh(resource(worker))), false),
    );
  },
};

const probes = {
  async histogram(work) {
    const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    histogram.enable();
    await pause();
    histogram.reset();
    await pause(); // The first sample after a reset is not counted.
    await work();
    await pause(); // The timer after the last turn measures the delay of that turn.
    histogram.disable();
    assertMeasured(histogram.count > 0, "samples");
    // A sample is the time between two timer callbacks, which includes the period of the timer.
    const delay = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
    return { p99: delay(histogram.percentile(99)), max: delay(histogram.max) };
  },

  async gaps(work) {
    let longest = 0;
    let last = process.hrtime.bigint();
    let isDone = false;
    const turn = () => {
      const now = process.hrtime.bigint();
      const gap = Number(now - last) / 1e6;
      if (gap > longest) longest = gap;
      last = now;
      if (!isDone) setImmediate(turn);
    };
    await pause();
    last = process.hrtime.bigint();
    setImmediate(turn);
    await work();
    isDone = true;
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
