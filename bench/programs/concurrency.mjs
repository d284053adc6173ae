// Runs a number of calls with so many of them in flight.

/** Calls `call(index, lane)` for every index below `count`, with up to `lanes` calls under way at a time. */
export async function runConcurrently(count, lanes, call) {
  let next = 0;
  const run = async (lane) => {
    while (next < count) {
      const index = next;
      next += 1;
      await call(index, lane);
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, count) }, (_, lane) => run(lane)));
}
