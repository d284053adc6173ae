// Limits how many processes of a spec run at one time. ava starts all tests of a file at once, and a hundred processes
// on two processors make each other exceed the package's default timeouts.

/** Returns a function that runs an asynchronous task once fewer than `max` tasks are running. */
export function limitConcurrency(max) {
  const waiting = [];
  let running = 0;
  return async (task) => {
    if (running === max) {
      await new Promise((resolve) => {
        waiting.push(resolve);
      });
    } else {
      running += 1;
    }
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
