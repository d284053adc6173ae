"use strict";

/*
 * What a client of the Azure SDK asks for, as a request of acquireToken's. Loaded for calls of getToken that a
 * remembered token cannot answer.
 */

/** The scope that a remembered token is found by, and the request. */
function asked(scopes, options, enableCae) {
  const scope = Array.isArray(scopes) && scopes.length === 1 ? scopes[0] : scopes;
  // A pipeline without a time limit says 0.
  const given = options?.requestOptions?.timeout;
  const timeout = given === 0 ? undefined : given;
  const isOne = !Array.isArray(scopes) || scopes.length === 1;
  const request = {
    __proto__: null, // Its other fields are absent, whatever Object.prototype has.
    resource: isOne ? scope : undefined,
    scopes: isOne ? undefined : scopes,
    claims: options?.claims ?? undefined,
    enableCae,
    tenantId: options?.tenantId ?? undefined,
    timeout,
    abortSignal: options?.abortSignal,
  };
  return { scope: request.resource, request };
}

module.exports.asked = asked;
