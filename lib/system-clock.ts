/*
 * Whether this realm's clock is the system's. Fake timers replace `Date.now`, and then native code, which reads both
 * clocks, decides whether a token is fresh.
 */

/** The source text of the native `Date.now`. That of a bound function or a proxy has no name. */
const NATIVE_DATE_NOW = /^function now\(\)\s*\{\s*\[native code\]\s*\}$/;
/** The native `Date.now` of this realm, once it was seen. */
let nativeDateNow: unknown;

/** Whether `Date.now` returns the system time. */
export function isSystemClock(): boolean {
  const { now } = Date;
  return now === nativeDateNow || isNativeDateNow(now);
}

function isNativeDateNow(now: unknown): boolean {
  if (typeof now !== "function" || !NATIVE_DATE_NOW.test(Function.prototype.toString.call(now))) return false;
  nativeDateNow = now;
  return true;
}
