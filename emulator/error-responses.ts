// The formats in which Azure's token services report an error. A source chooses the format, the status and the message.
// docs/wire-protocol.md shows each format.

import { randomUUID } from "node:crypto";
import type { RecordedRequest } from "managed-identity-native/emulator";
import type { SourceResponse } from "./sources/source.js";

/** Returns `{ error, error_description }` (RFC 6749, section 5.2): the format of errors that IMDS itself reports. */
export function oauthError(status: number, error: string, description: string): SourceResponse {
  return { status, headers: {}, body: { error, error_description: description } };
}

/**
 * Returns an error of Microsoft Entra, which IMDS and Azure Arc pass on unchanged. `code` is the AADSTS number. The
 * client's correlation id is taken from the request's headers.
 */
export function entraError(
  status: number,
  error: string,
  code: number,
  message: string,
  { headers }: Pick<RecordedRequest, "headers">,
): SourceResponse {
  const traceId = randomUUID();
  const correlationId = headers["x-ms-client-request-id"] ?? headers["client-request-id"] ?? randomUUID();
  const timestamp = `${new Date().toISOString().slice(0, 19).replace("T", " ")}Z`;
  return {
    status,
    headers: {},
    body: {
      error,
      error_description:
        `AADSTS${code}: ${message} Trace ID: ${traceId} ` +
        `Correlation ID: ${correlationId} Timestamp: ${timestamp}`,
      error_codes: [code],
      timestamp,
      trace_id: traceId,
      correlation_id: correlationId,
      error_uri: `https://login.microsoftonline.com/error?code=${code}`,
    },
  };
}

/** Returns `{ statusCode, message, correlationId }`: App Service, and Machine Learning, which has the same format. */
export function appServiceError(status: number, message: string): SourceResponse {
  const correlationId = randomUUID();
  return {
    status,
    headers: { "X-CORRELATION-ID": correlationId },
    body: { statusCode: status, message, correlationId },
  };
}

/** Returns `{ error: { code, message } }`: Cloud Shell. Service Fabric adds a correlation id, in `details`. */
export function codedError(
  status: number,
  code: string,
  message: string,
  details?: { readonly correlationId: string },
): SourceResponse {
  return { status, headers: {}, body: { error: { ...details, code, message } } };
}

/** How Entra reports a resource that does not exist in the tenant. */
export const UNKNOWN_RESOURCE = { error: "invalid_resource", code: 500_011 } as const;

export function unknownResourceMessage(resource: string, tenantId: string): string {
  return (
    `The resource principal named ${resource} was not found in the tenant named ${tenantId}. ` +
    "This can happen if the application has not been installed by the administrator of the tenant or " +
    "consented to by any user in the tenant. You might have sent your authentication request to the " +
    "wrong tenant."
  );
}
