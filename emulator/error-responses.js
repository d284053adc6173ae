"use strict";

// The formats in which Azure's token services report an error. A source chooses the format, the status and the message.
// docs/wire-protocol.md shows each format.

const { randomUUID } = require("node:crypto");

/** Returns `{ error, error_description }` (RFC 6749, section 5.2): the format of errors that IMDS itself reports. */
function oauthError(status, error, description) {
  return { status, headers: {}, body: { error, error_description: description } };
}

/**
 * Returns an error of Microsoft Entra, which IMDS and Azure Arc pass on unchanged. `code` is the AADSTS number. The
 * client's correlation id is taken from the request's headers.
 */
function entraError(status, error, code, message, { headers }) {
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
function appServiceError(status, message) {
  const correlationId = randomUUID();
  return {
    status,
    headers: { "X-CORRELATION-ID": correlationId },
    body: { statusCode: status, message, correlationId },
  };
}

/** Returns `{ error: { code, message } }`: Cloud Shell. Service Fabric adds a correlation id, in `details`. */
function codedError(status, code, message, details) {
  return { status, headers: {}, body: { error: { ...details, code, message } } };
}

/** How Entra reports a resource that does not exist in the tenant. */
const UNKNOWN_RESOURCE = { error: "invalid_resource", code: 500_011 };

function unknownResourceMessage(resource, tenantId) {
  return (
    `The resource principal named ${resource} was not found in the tenant named ${tenantId}. ` +
    "This can happen if the application has not been installed by the administrator of the tenant or " +
    "consented to by any user in the tenant. You might have sent your authentication request to the " +
    "wrong tenant."
  );
}

module.exports = {
  UNKNOWN_RESOURCE,
  appServiceError,
  codedError,
  entraError,
  oauthError,
  unknownResourceMessage,
};
