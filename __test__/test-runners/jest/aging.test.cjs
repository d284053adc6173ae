// Run by Jest, in ../../test-runners.spec.mjs.

const defineAgingTests = require("../aging.cjs");

// biome-ignore lint/correctness/noUndeclaredVariables: Jest hands it to every module.
const timers = jest;
const { afterEach, test } = globalThis;

afterEach(() => timers.useRealTimers());

defineAgingTests(test, {
  start: (now) => timers.useFakeTimers({ now }),
  advance: (ms) => timers.advanceTimersByTime(ms),
  set: (ms) => timers.setSystemTime(ms),
  restore: () => timers.useRealTimers(),
});
