// Issues the tokens of an endpoint: signed by the emulator, or from the `tokens` function of its options.

import type { GivenToken, TokenFunction, TokenRequest } from "managed-identity-native/emulator";
import { describeToken, type IssuedToken, issueToken, type TokenClaims } from "./access-token.js";
import type { SigningKeys } from "./jwt.js";

const SERVER_ERROR = 500;

export interface IssuerOptions {
  readonly tokens: TokenFunction | undefined;
  readonly tenantId: string;
  readonly lifetimeSeconds: number;
}

/** The times of a token, of which the fault of a request may set the expiry. */
export interface TokenTimes {
  /** The current time in milliseconds since 1970. */
  readonly nowMs: number;
  /** Replaces the token's own expiry, in seconds since 1970. */
  readonly expiresOn: number | undefined;
}

export type TokenIssuer = (claims: TokenClaims, times: TokenTimes) => IssuedToken | Promise<IssuedToken>;

/** An error of the `tokens` function, which the source reports to the client in its own format. */
export class TokenSourceError extends Error {
  /** The error's own `status` from 300 to 599; otherwise 500. */
  get status(): number {
    const status = readField(this.cause, "status");
    const isValid = typeof status === "number" && Number.isInteger(status) && status >= 300 && status <= 599;
    return isValid ? status : SERVER_ERROR;
  }
}

/** Returns the function that issues tokens. `closing` is aborted when the endpoint closes. */
export function createIssuer(
  { tokens, tenantId, lifetimeSeconds }: IssuerOptions,
  keys: SigningKeys,
  closing: AbortSignal,
): TokenIssuer {
  if (tokens === undefined) {
    return (claims, times) => issueToken(keys, claims, { ...times, tenantId, lifetimeSeconds });
  }
  return async (claims, { nowMs, expiresOn }) => {
    const token = await callTokens(tokens, { ...claims, tenantId, signal: closing });
    const expiry = expiresOn ?? toUnixSeconds(readField(token, "expiresOn"));
    const accessToken = readField(token, "accessToken");
    if (typeof accessToken !== "string" || accessToken === "" || !Number.isFinite(expiry)) {
      throw new TypeError(
        '"tokens" must return { accessToken, expiresOn }: a non-empty string, and a Date or seconds since 1970.',
      );
    }
    return describeToken(accessToken, claims, Math.floor(nowMs / 1000), expiry);
  };
}

async function callTokens(tokens: TokenFunction, request: TokenRequest): Promise<GivenToken> {
  try {
    return await tokens(request);
  } catch (error) {
    const message = readField(error, "message");
    throw new TokenSourceError(typeof message === "string" ? message : String(error), { cause: error });
  }
}

/** Returns seconds since 1970; NaN for a value that is neither a Date nor a number. */
function toUnixSeconds(expiresOn: unknown): number {
  if (expiresOn instanceof Date) return Math.floor(expiresOn.getTime() / 1000);
  return typeof expiresOn === "number" ? expiresOn : Number.NaN;
}

/** Returns a field of a value that a test provided and that may be anything. */
function readField(value: unknown, name: string): unknown {
  return value === null || value === undefined ? undefined : Reflect.get(Object(value), name);
}
