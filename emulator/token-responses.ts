// Token response bodies that several sources share.

import type { IssuedToken } from "./access-token.js";

/** Returns the body of IMDS, in which every value is a string. Azure Arc's agent sends the same. */
export function imdsTokenResponse(token: IssuedToken): Readonly<Record<string, string>> {
  return {
    access_token: token.accessToken,
    client_id: token.identity.clientId,
    expires_in: String(token.expiresIn),
    expires_on: String(token.expiresOn),
    ext_expires_in: String(token.expiresIn),
    not_before: String(token.notBefore),
    resource: token.resource,
    token_type: "Bearer",
  };
}
