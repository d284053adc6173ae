// Measures the time of an awaited call: the median of batches, after a warm-up.

const WARM_UP_MS = 300;
const BATCHES = 31;

function elapsedMs(since) {
  return Number(process.hrtime.bigint() - since) / 1e6;
}

/** Microseconds per call of `loop(count)`, which makes `count` calls. */
export async function microseconds(loop, batchMs) {
  const warmUp = process.hrtime.bigint();
  let count = 1;
  let calls = 0;
  while (elapsedMs(warmUp) < WARM_UP_MS) {
    await loop(count);
    calls += count;
    count = Math.min(count * 2, 10_000);
  }
  const perBatch = Math.max(1, Math.round((calls * batchMs) / elapsedMs(warmUp)));
  const batches = [];
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const started = process.hrtime.bigint();
    await loop(perBatch);
    batches.push((elapsedMs(started) * 1000) / perBatch);
    calls += perBatch;
  }
  batches.sort((a, b) => a - b);
  return { us: batches[(BATCHES - 1) / 2], calls };
}
