/*
 * The shape of a request. Values are checked by native code; this module decides only which path a call takes.
 */

import type { AbortSignalLike } from "../index.js";
import { nextCorrelationId } from "./correlation-id.js";
import { ManagedIdentityError } from "./errors.js";
import type { JsRequestOptions } from "./native-binding.js";
import { EMPTY_OBJECT, hasOwn, option } from "./safe-objects.js";

/** The fields of a request, or of getToken's options, of any type. */
export type RequestFields = {
  readonly resource?: unknown;
  readonly scopes?: unknown;
  readonly forceRefresh?: unknown;
  readonly claims?: unknown;
  readonly abortSignal?: unknown;
  readonly timeout?: unknown;
  readonly tenantId?: unknown;
  readonly enableCae?: unknown;
  readonly retryIdentityNotFound?: unknown;
  readonly requestOptions?: unknown;
  readonly signal?: unknown;
  readonly scope?: unknown;
};
export type Request = string | RequestFields | null | undefined;

/** Whether Object.prototype has a field of a request or of getToken's options. */
export function isObjectPrototypePolluted(): boolean {
  return (
    "resource" in EMPTY_OBJECT ||
    "scopes" in EMPTY_OBJECT ||
    "forceRefresh" in EMPTY_OBJECT ||
    "claims" in EMPTY_OBJECT ||
    "abortSignal" in EMPTY_OBJECT ||
    "timeout" in EMPTY_OBJECT ||
    "tenantId" in EMPTY_OBJECT ||
    "enableCae" in EMPTY_OBJECT ||
    "retryIdentityNotFound" in EMPTY_OBJECT ||
    "requestOptions" in EMPTY_OBJECT ||
    "signal" in EMPTY_OBJECT ||
    "scope" in EMPTY_OBJECT
  );
}

/** Copies a request or getToken's options without the fields of Object.prototype. */
export function ownFields<Value>(request: Value): Value | RequestFields {
  if (typeof request !== "object" || request === null) return request;
  const requestOptions = option(request, "requestOptions");
  const fields = {
    __proto__: null,
    resource: option(request, "resource"),
    scopes: option(request, "scopes"),
    forceRefresh: option(request, "forceRefresh"),
    claims: option(request, "claims"),
    abortSignal: option(request, "abortSignal"),
    timeout: option(request, "timeout"),
    tenantId: option(request, "tenantId"),
    enableCae: option(request, "enableCae"),
    retryIdentityNotFound: option(request, "retryIdentityNotFound"),
    requestOptions:
      requestOptions === undefined
        ? undefined
        : { __proto__: null, timeout: option(requestOptions, "timeout") },
    signal: option(request, "signal"),
    scope: option(request, "scope"),
  };
  return fields;
}

/** Rejects a request with a misspelt field, which must not be ignored. */
export function rejectMisspeltFields(request: Request): void {
  if (typeof request === "string" || request === undefined || request === null) return;
  const { signal, scope } = request;
  const hasSignal = signal !== undefined && hasOwn(request, "signal");
  const hasScope = scope !== undefined && hasOwn(request, "scope");
  if (!hasSignal && !hasScope) return;
  if (isPresent(signal)) {
    throwMisspelt("signal is not a field of a request: give the signal as abortSignal.");
  }
  if (isPresent(scope)) {
    throwMisspelt(
      "scope is not a field of a request: give the resource as resource, or a list of one scope as scopes.",
    );
  }
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function throwMisspelt(errorMessage: string): never {
  throw new ManagedIdentityError("invalid_configuration", nextCorrelationId(), { errorMessage });
}

/** Whether a request has only a resource and perhaps `forceRefresh`. */
export function isResourceOnlyRequest(request: Request): boolean {
  return (
    typeof request === "string" ||
    (request?.claims === undefined &&
      request?.timeout === undefined &&
      request?.tenantId === undefined &&
      (request?.enableCae === undefined || typeof request.enableCae === "boolean") &&
      request?.retryIdentityNotFound === undefined)
  );
}

/** Returns the other fields of a request for native code. Some are only for getToken. */
export function extraRequestFields(
  request: Request,
  resource: unknown,
  signal: AbortSignalLike | null | undefined,
  isCredentialCall: boolean,
): JsRequestOptions {
  const fields = typeof request === "string" ? undefined : request;
  return {
    scopes: isPresent(resource) ? undefined : fields?.scopes,
    claims: fields?.claims,
    timeout: fields?.timeout,
    tenantId: isCredentialCall ? fields?.tenantId : undefined,
    enableCae: isCredentialCall ? fields?.enableCae : undefined,
    retryIdentityNotFound: fields?.retryIdentityNotFound,
    forCredential: isCredentialCall,
    abortSignal: signal === null ? false : undefined,
  };
}

/** Whether a memoized token satisfies getToken's options. */
export function hasNoOptions(options: RequestFields | null | undefined, enableCae: unknown): boolean {
  return (
    options === undefined ||
    options === null ||
    (options.claims === undefined &&
      options.tenantId === undefined &&
      (enableCae === undefined || typeof enableCae === "boolean") &&
      options.abortSignal === undefined &&
      options.requestOptions === undefined)
  );
}
