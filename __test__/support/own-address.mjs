// Addresses for servers that are closed within a test. The system gives the port of a closed server to another one, which
// would then answer if it listened on the same address.

import { has } from "./capabilities.mjs";

let count = 0;

/** Returns a loopback address that no other test, in this process or in another one, has; 127.0.0.1 if there is no other. */
export function ownAddress() {
  if (!has("other loopback addresses")) return "127.0.0.1";
  count += 1;
  const { pid } = process;
  return `127.${128 + ((pid >> 8) & 127)}.${pid & 255}.${1 + (count % 254)}`;
}
