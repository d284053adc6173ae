// How much memory a process gains by refreshing its tokens again and again, once it has settled. Run with
// --expose-gc: what is left is held.

import { runConcurrently } from "./concurrency.mjs";
import { assertMeasured, open, resource } from "./contenders.mjs";

const LANES = 32;

const { contender, settling, refreshes } = JSON.parse(process.argv[2]);
const { call, refresh, check } = await open(contender);

async function run(count) {
  let checked = 0;
  await runConcurrently(count, LANES, async (_, lane) => {
    check(await call(refresh(resource(lane))), false);
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
