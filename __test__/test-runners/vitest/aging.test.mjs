// Run by Vitest, in ../../test-runners.spec.mjs.

import { afterEach, test, vi } from "vitest";
import defineAgingTests from "../aging.cjs";

afterEach(() => vi.useRealTimers());

defineAgingTests(test, {
  start: (now) => vi.useFakeTimers({ now }),
  advance: (ms) => vi.advanceTimersByTime(ms),
  set: (ms) => vi.setSystemTime(ms),
  restore: () => vi.useRealTimers(),
});
