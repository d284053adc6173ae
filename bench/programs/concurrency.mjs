// Limits the number of concurrent calls.

/** Calls `call(index, worker)` for every index below `count`, with at most `limit` calls in flight. */
export async function runConcurrently(count, limit, call) {
  let next = 0;
  const run = async (worker) => {
    while (next < count) {
      const index = next;
      next += 1;
      await call(index, worker);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, count) }, (_, worker) => run(worker)));
}
