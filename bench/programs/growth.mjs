// How much memory a process gains by refreshing its tokens repeatedly after a warm-up. Requires --expose-gc, so that
// only retained memory counts.

import { runConcurrently } from "./concurrency.mjs";
import { assertMeasured, open, resource } from "./contenders.mjs";

const CONCURRENCY = 32;

const { contender, settling, refreshes } = JSON.parse(process.argv[2]);
const { call, refresh, check } = await open(contender);

async function run(count) {
  let checked = 0;
  await runConcurrently(count, CONCURRENCY, async (_, worker) => {
    check(await call(refresh(resource(worker))), false);
    checked += 1;
  });
  assertMeasured(checked === count, "every refresh");
}

async function rss() {
  for (let round = 0; round < 3; round += 1) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return process.memoryUsage.rss();
}

await run(settling);
const before = await rss();
await run(refreshes);
const after = await rss();

console.log(JSON.stringify({ values: { growth: after - before }, requests: settling + refreshes }));
