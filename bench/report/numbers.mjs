// Number formats.

const THREE_DIGITS = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 3 });
const WHOLE = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });

/** Three significant digits, or all digits of the integral part. */
export function number(value) {
  return Math.abs(value) >= 1000 ? WHOLE.format(value) : THREE_DIGITS.format(value);
}

/** Formats a ratio: 0.0123 is "1/81", 1.5 is "1.5 ×". */
export function fraction(ratio) {
  return ratio < 0.95 ? `1/${WHOLE.format(Math.max(1, 1 / ratio))}` : `${ratio.toFixed(1)} ×`;
}
