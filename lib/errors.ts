/*
 * The error classes. Native code returns failures as records; this layer makes errors of them, so that their stacks show
 * the caller and `instanceof` works in every realm.
 */

import type {
  AuthenticationMetadata,
  ManagedIdentityErrorDetails,
  ManagedIdentitySourceNames,
} from "../index.js";
import { binding, type JsFailure } from "./native-binding.js";
import { nodeRequire } from "./node-require.js";
import { frozenMetadata } from "./result.js";
import { defineField, defineProperty, own } from "./safe-objects.js";

/** The base class, with the fields of msal-node's class of this name. */
export class AuthError extends Error {
  declare errorCode: string;
  declare errorMessage: string;
  declare subError: string;
  declare correlationId: string;

  constructor(errorCode: string, correlationId: string, errorMessage = "", suberror = "") {
    super(errorMessage ? `${errorCode}: ${errorMessage}` : errorCode);
    defineField(this, "name", "AuthError");
    defineField(this, "errorCode", errorCode);
    defineField(this, "errorMessage", errorMessage);
    defineField(this, "subError", suberror);
    defineField(this, "correlationId", correlationId);
  }
}

/** Marks the errors of every copy of this package for `isManagedIdentityError`. */
const BRAND = Symbol.for("managed-identity-native.ManagedIdentityError");
/** Fields that an error has only if their values are known. */
const OPTIONAL_FIELDS = ["statusCode", "errorNo", "source", "endpoint", "attempts", "retryAfterMs"] as const;

/** The details of an error: a caller's, or native code's record. */
type ErrorDetails = ManagedIdentityErrorDetails | Partial<JsFailure>;

export class ManagedIdentityError extends AuthError {
  declare name: string;
  declare readonly code: string;
  declare readonly statusCode?: number;
  declare readonly status?: number;
  declare readonly errorNo?: number | string;
  declare readonly source?: ManagedIdentitySourceNames;
  declare readonly endpoint?: string;
  declare readonly attempts?: number;
  declare readonly retryable: boolean;
  declare readonly retryAfterMs?: number;
  declare readonly cause?: unknown;
  declare readonly metadata?: AuthenticationMetadata;

  constructor(errorCode: string, correlationId: string, details?: ErrorDetails | null) {
    super(
      errorCode,
      own(details, "correlationId") ?? correlationId,
      own(details, "errorMessage") ?? own(details, "message") ?? "No token could be acquired.",
      own(details, "subError"),
    );
    defineField(this, "name", "ManagedIdentityError");
    defineField(this, "code", errorCode);
    defineField(this, "retryable", own(details, "retryable") ?? false);
    for (let index = 0; index < OPTIONAL_FIELDS.length; index += 1) {
      const name = OPTIONAL_FIELDS[index] as (typeof OPTIONAL_FIELDS)[number];
      const value = own(details, name);
      if (value !== undefined) defineField(this, name, value);
    }
    // msal-node's ServerError has the HTTP status under this name.
    const status = own(details, "statusCode");
    if (status !== undefined) defineField(this, "status", status);
    const metadata = own(details, "metadata");
    if (metadata !== undefined) defineField(this, "metadata", frozenMetadata(metadata));
    const cause = causeOf(details);
    if (cause !== undefined) defineField(this, "cause", cause, false);
  }
}
defineProperty(ManagedIdentityError.prototype, BRAND, { value: true });

/** getToken's error if there is no managed identity. ChainedTokenCredential recognizes it by its name. */
export class CredentialUnavailableError extends ManagedIdentityError {
  constructor(errorCode: string, correlationId: string, details?: ErrorDetails | null) {
    super(errorCode, correlationId, details);
    defineField(this, "name", "CredentialUnavailableError");
  }
}

/** Returns the cause in a caller's details, or creates the one that a failure record describes. */
function causeOf(details: ErrorDetails | null | undefined): unknown {
  const message = own(details, "causeMessage");
  if (message === undefined) return own(details, "cause");
  const cause = new Error(message);
  defineField(cause, "stack", `Error: ${message}`, false); // It occurred on another thread, so this stack is not its own.
  const code = own(details, "causeCode");
  if (code !== undefined) defineField(cause, "code", code);
  return cause;
}

export function isManagedIdentityError(error: unknown): error is ManagedIdentityError {
  try {
    const { types }: typeof import("node:util") = nodeRequire("node:util");
    // Accepts errors of any realm, but not a proxy, whose traps can return anything.
    return types.isNativeError(error) && (error as { [BRAND]?: unknown })[BRAND] === true;
  } catch {
    return false;
  }
}

export function throwError(errorCode: string, errorMessage: string): never {
  throw new ManagedIdentityError(errorCode, "", { errorMessage });
}

/** Returns an id if native code accepts it, and throws otherwise. `name` names its option or variable. */
export function requireId(id: unknown, name: string): string {
  const failure = binding.checkId(name, id);
  if (failure !== null) throw new ManagedIdentityError(failure.errorCode, "", failure);
  return id as string;
}
