/*
 * Correlation ids: GUIDs whose last six hexadecimal digits are a counter, because drawing a random GUID for each call
 * would load node:crypto, which takes 2 ms. Native code draws the rest at random.
 */

import { binding } from "./native-binding.js";

const FIRST_COUNT = 0x100000;
const LAST_COUNT = 0xffffff;
let prefix = "";
let count = LAST_COUNT;

export function nextCorrelationId(): string {
  if (count === LAST_COUNT) {
    prefix = binding.correlationIdPrefix();
    count = FIRST_COUNT;
  }
  count += 1;
  return prefix + count.toString(16);
}
