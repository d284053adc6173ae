/*
 * The results of calls, made of native code's records.
 */

import type { AccessToken, AuthenticationMetadata, AuthenticationResult } from "../index.js";
import type { JsMetadata, JsToken } from "./native-binding.js";
import { blockThenable, defineField, freeze, hasOwn } from "./safe-objects.js";

const AUTHORITY = "https://login.microsoftonline.com/managed_identity/";

/** A token, as the memo keeps it. */
export type MemoizedToken = Omit<JsToken, "metadata" | "refreshOnMs"> & {
  refreshOnMs: number | undefined;
  metadata: AuthenticationMetadata;
  /** The metadata of calls that the memo answers. */
  metadataOfHit: AuthenticationMetadata | undefined;
};

/** A result of a managed identity, which always has an expiry. */
export type TokenResult = AuthenticationResult & { expiresOn: Date };

/** The fields of a result: every one of msal-node's that a managed identity can have. */
type ResultFields = Required<
  Omit<AuthenticationResult, "dpopProof" | "code" | "resource" | "expiresOn" | "refreshOn">
> & {
  expiresOn: Date;
  refreshOn: Date | undefined;
};

type AccessTokenFields = Omit<AccessToken, "refreshAfterTimestamp"> & {
  refreshAfterTimestamp: number | undefined;
};

export function toAuthenticationResult(
  token: MemoizedToken,
  fromCache: boolean,
  metadata: AuthenticationMetadata,
  correlationId: string,
): TokenResult {
  const result: ResultFields = {
    authority: AUTHORITY,
    uniqueId: "",
    tenantId: "",
    scopes: [token.resource],
    account: null,
    idToken: "",
    idTokenClaims: {},
    accessToken: token.accessToken,
    fromCache,
    expiresOn: new Date(token.expiresOnMs),
    extExpiresOn: new Date(token.expiresOnMs),
    refreshOn: token.refreshOnMs === undefined ? undefined : new Date(token.refreshOnMs),
    correlationId,
    requestId: "",
    familyId: "",
    tokenType: "Bearer",
    state: "",
    cloudGraphHostName: "",
    msGraphHost: "",
    fromPlatformBroker: false,
    metadata,
  };
  // As in msal-node, an optional field may be undefined.
  return blockThenable(result as TokenResult);
}

/** Returns a token as the Azure SDK's AccessToken. */
export function toAccessToken({
  accessToken,
  expiresOnMs,
  refreshOnMs,
}: Pick<MemoizedToken, "accessToken" | "expiresOnMs" | "refreshOnMs">): AccessToken {
  const fields: AccessTokenFields = {
    token: accessToken,
    expiresOnTimestamp: expiresOnMs,
    refreshAfterTimestamp: refreshOnMs,
    tokenType: "Bearer",
  };
  return blockThenable(fields as AccessToken);
}

/** Returns a result as the Azure SDK's AccessToken. */
export function resultToAccessToken({ accessToken, expiresOn, refreshOn }: TokenResult): AccessToken {
  return toAccessToken({
    accessToken,
    expiresOnMs: expiresOn.getTime(),
    refreshOnMs: refreshOn?.getTime(),
  });
}

/** Returns the metadata of a call that the memo answered. */
export function cacheHitMetadata(tokenEndpoint: string): AuthenticationMetadata {
  return freeze({
    tokenSource: "Cache",
    cacheRefreshReason: "NotApplicable",
    durationTotalInMs: 0,
    durationInHttpInMs: 0,
    durationInCacheInMs: 0,
    attempts: 0,
    tokenEndpoint,
  });
}

/** Deletes a field that is null, which stands for absent in native records. */
export function withoutNull<Record extends object>(record: Record, name: keyof Record): Record {
  if (record[name] === null) delete record[name];
  return record;
}

/** Returns the frozen metadata of a call, for callers. */
export function frozenMetadata(metadata: JsMetadata | AuthenticationMetadata): AuthenticationMetadata {
  return freeze(withoutNull(metadata, "tokenSource")) as AuthenticationMetadata;
}

/** Prepares a native token record for the memo. */
export function normalizeToken(record: JsToken): MemoizedToken {
  frozenMetadata(record.metadata);
  const token = record as MemoizedToken;
  token.refreshOnMs ??= undefined;
  if (!hasOwn(token, "metadataOfHit")) defineField(token, "metadataOfHit", undefined);
  return token;
}
