"use strict";

// Checks that several sources make on a request.

/** Whether a request has the path of the token endpoint; a trailing slash makes no difference. */
function isTokenPath({ path }, expected) {
  return path === expected || path === `${expected}/`;
}

/**
 * Returns an error response unless the request has the header `Metadata: true`, which a browser or a forwarded link
 * cannot send. `toError` makes the response in the source's own format.
 */
function requireMetadataHeader({ headers }, toError) {
  if (headers.metadata?.toLowerCase() === "true") return undefined;
  return toError("Required metadata header not specified");
}

module.exports = { isTokenPath, requireMetadataHeader };
