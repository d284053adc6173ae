// A clock that does not advance, for calls that must be made within one millisecond.

/** Runs `call` with a frozen clock, so that everything in it happens in the same millisecond. */
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
