"use strict";

// The shape of success that several hosts share. It must not know when a token is granted.

/** IMDS's answer, all of it strings; Azure Arc's agent gives the same. */
function metadataGrant(token) {
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

module.exports = { metadataGrant };
