"use strict";

/*
 * Converts the arguments of the Azure SDK's getToken to a request of acquireToken.
 */

/** Returns the scope, which is the memo's key, and the request. */
function toTokenRequest(scopes, options, enableCae) {
  const scope = Array.isArray(scopes) && scopes.length === 1 ? scopes[0] : scopes;
  // A pipeline without a timeout passes 0.
  const requestTimeout = options?.requestOptions?.timeout;
  const timeout = requestTimeout === 0 ? undefined : requestTimeout;
  const isSingleScope = !Array.isArray(scopes) || scopes.length === 1;
  const request = {
    __proto__: null, // No field is inherited from Object.prototype.
    resource: isSingleScope ? scope : undefined,
    scopes: isSingleScope ? undefined : scopes,
    claims: options?.claims ?? undefined,
    enableCae,
    tenantId: options?.tenantId ?? undefined,
    timeout,
    abortSignal: options?.abortSignal,
  };
  return { scope: request.resource, request };
}

module.exports.toTokenRequest = toTokenRequest;
