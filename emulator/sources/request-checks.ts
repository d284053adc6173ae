// Checks that several sources make on a request.

import type { RecordedRequest } from "managed-identity-native/emulator";
import type { SourceResponse } from "./source.js";

/** Whether a request has the path of the token endpoint; a trailing slash makes no difference. */
export function isTokenPath({ path }: RecordedRequest, expected: string): boolean {
  return path === expected || path === `${expected}/`;
}

/**
 * Returns an error response unless the request has the header `Metadata: true`, which a browser or a forwarded link
 * cannot send. `toError` makes the response in the source's own format.
 */
export function requireMetadataHeader(
  { headers }: RecordedRequest,
  toError: (message: string) => SourceResponse,
): SourceResponse | undefined {
  const { metadata } = headers;
  if (typeof metadata === "string" && metadata.toLowerCase() === "true") return undefined;
  return toError("Required metadata header not specified");
}
