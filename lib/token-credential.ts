/*
 * Converts the arguments of the Azure SDK's getToken to a request of acquireToken.
 */

import type { RequestFields } from "./request.js";

/** Returns the scope, which is the memo's key, and the request. */
export function toTokenRequest(
  scopes: string | string[],
  options: RequestFields | null | undefined,
  enableCae: unknown,
): { scope: unknown; request: RequestFields } {
  const list = Array.isArray(scopes) ? scopes : [scopes];
  const isSingleScope = list.length === 1;
  const scope = isSingleScope ? list[0] : undefined;
  const requestTimeout = (options?.requestOptions as { timeout?: unknown } | null | undefined)?.timeout;
  const fields = {
    __proto__: null, // No field is inherited from Object.prototype.
    resource: scope,
    scopes: isSingleScope ? undefined : scopes,
    claims: options?.claims ?? undefined,
    enableCae,
    tenantId: options?.tenantId ?? undefined,
    // A pipeline without a timeout passes 0.
    timeout: requestTimeout === 0 ? undefined : requestTimeout,
    abortSignal: options?.abortSignal,
  };
  return { scope, request: fields };
}
