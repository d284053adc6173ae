// Limits the number of concurrent calls.

/** Calls `task(number)` for every number from `from` up to `to`, with at most `limit` calls in flight. */
export async function runConcurrently(from, to, limit, task) {
  let next = from;
  const work = async () => {
    while (next < to) {
      const number = next;
      next += 1;
      await task(number);
    }
  };
  await Promise.all(Array.from({ length: limit }, work));
}
