// Time that stands still, for what may happen in one millisecond but need not.

/** Calls `call` while the clock stands still: all of it happens in one millisecond. */
export function withFrozenClock(call) {
  const { now } = Date;
  const instant = now();
  Date.now = () => instant;
  try {
    return call();
  } finally {
    Date.now = now;
  }
}
