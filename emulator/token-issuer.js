"use strict";

// Where a token comes from: signed here, or asked of the function that the emulator was given for it. It must
// not know which host asks, nor how a host words a refusal.

const { issueToken } = require("./token.js");

// Entra dates a token back by five minutes; a foreign one need not say so itself.
const BACKDATED_SECONDS = 300;
const SERVER_ERROR = 500;

/** What the given function rejected with: an answer that the client is to get, in the host's own form. */
class TokenRefusal extends Error {
  get status() {
    const status = this.cause?.status;
    return Number.isInteger(status) && status >= 300 && status <= 599 ? status : SERVER_ERROR;
  }
}

/**
 * The function by which hosts get tokens. `closing` is aborted when nobody can be answered any more. An
 * `expiresOn` that was scripted replaces the token's own in the answer.
 */
function openIssuer({ tokens, tenantId, lifetimeSeconds }, signer, closing) {
  if (tokens === undefined) {
    return (what, { nowMs, expiresOn }) =>
      issueToken(signer, { ...what, tenantId, nowMs, lifetimeSeconds, expiresOn });
  }
  return async ({ identity, resource, capabilities }, { nowMs, expiresOn }) => {
    const given = await ask(tokens, { resource, identity, capabilities, tenantId, signal: closing });
    const now = Math.floor(nowMs / 1000);
    const expiry = expiresOn ?? secondsOf(given?.expiresOn);
    if (typeof given?.accessToken !== "string" || given.accessToken === "" || !Number.isFinite(expiry)) {
      throw new TypeError(
        '"tokens" must give { accessToken, expiresOn }: a string that is not empty, and a Date or seconds since 1970.',
      );
    }
    return {
      accessToken: given.accessToken,
      identity,
      resource,
      notBefore: now - BACKDATED_SECONDS,
      expiresOn: expiry,
      expiresIn: expiry - now,
    };
  };
}

async function ask(tokens, request) {
  try {
    return await tokens(request);
  } catch (error) {
    const words = typeof error?.message === "string" ? error.message : String(error);
    throw new TokenRefusal(words, { cause: error });
  }
}

function secondsOf(expiresOn) {
  return expiresOn instanceof Date ? Math.floor(expiresOn.getTime() / 1000) : expiresOn;
}

module.exports = { TokenRefusal, openIssuer };
