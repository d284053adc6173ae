"use strict";

// Issues the tokens of an endpoint: signed by the emulator, or from the `tokens` function of its options.

const { issueToken } = require("./token.js");

// Entra dates a token back by five minutes. A token of the function need not state this time itself.
const BACKDATED_SECONDS = 300;
const SERVER_ERROR = 500;

/** An error of the `tokens` function, which the source reports to the client in its own format. */
class TokenSourceError extends Error {
  /** The error's own `status` from 300 to 599; otherwise 500. */
  get status() {
    const status = this.cause?.status;
    return Number.isInteger(status) && status >= 300 && status <= 599 ? status : SERVER_ERROR;
  }
}

/**
 * Returns the function that issues a token for a request. `closing` is aborted when the endpoint closes. An
 * `expiresOn` that a fault sets replaces the token's own expiry.
 */
function createIssuer({ tokens, tenantId, lifetimeSeconds }, signer, closing) {
  if (tokens === undefined) {
    return (request, { nowMs, expiresOn }) =>
      issueToken(signer, { ...request, tenantId, nowMs, lifetimeSeconds, expiresOn });
  }
  return async ({ identity, resource, capabilities }, { nowMs, expiresOn }) => {
    const token = await callTokens(tokens, { resource, identity, capabilities, tenantId, signal: closing });
    const now = Math.floor(nowMs / 1000);
    const expiry = expiresOn ?? toUnixSeconds(token?.expiresOn);
    if (typeof token?.accessToken !== "string" || token.accessToken === "" || !Number.isFinite(expiry)) {
      throw new TypeError(
        '"tokens" must return { accessToken, expiresOn }: a non-empty string, and a Date or seconds since 1970.',
      );
    }
    return {
      accessToken: token.accessToken,
      identity,
      resource,
      notBefore: now - BACKDATED_SECONDS,
      expiresOn: expiry,
      expiresIn: expiry - now,
    };
  };
}

async function callTokens(tokens, request) {
  try {
    return await tokens(request);
  } catch (error) {
    const message = typeof error?.message === "string" ? error.message : String(error);
    throw new TokenSourceError(message, { cause: error });
  }
}

function toUnixSeconds(expiresOn) {
  return expiresOn instanceof Date ? Math.floor(expiresOn.getTime() / 1000) : expiresOn;
}

module.exports = { TokenSourceError, createIssuer };
