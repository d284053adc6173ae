"use strict";

// The shapes in which Azure's hosts say no. Each is a function of status and words to an answer; which
// words, and when, is the business of the host. PROTOCOL: error bodies.

const { randomUUID } = require("node:crypto");

/** `{ error, error_description }`: IMDS's own refusals. */
function oauthRefusal(status, error, description) {
  return { status, headers: {}, body: { error, error_description: description } };
}

/** Entra's refusal, as IMDS, Azure Arc and Entra itself pass it on; `code` is the AADSTS number. */
function entraRefusal(status, error, code, words, request) {
  const traceId = randomUUID();
  const correlationId = request.headers["x-ms-client-request-id"] ?? request.headers["client-request-id"];
  const ids = { trace_id: traceId, correlation_id: correlationId ?? randomUUID() };
  const timestamp = `${new Date().toISOString().slice(0, 19).replace("T", " ")}Z`;
  return {
    status,
    headers: {},
    body: {
      error,
      error_description:
        `AADSTS${code}: ${words} Trace ID: ${ids.trace_id} ` +
        `Correlation ID: ${ids.correlation_id} Timestamp: ${timestamp}`,
      error_codes: [code],
      timestamp,
      ...ids,
      error_uri: `https://login.microsoftonline.com/error?code=${code}`,
    },
  };
}

/** `{ statusCode, message, correlationId }`: App Service, and Machine Learning, which imitates it. */
function siteRefusal(status, message) {
  const correlationId = randomUUID();
  return {
    status,
    headers: { "X-CORRELATION-ID": correlationId },
    body: { statusCode: status, message, correlationId },
  };
}

/** `{ error: { code, message } }`: Cloud Shell; Service Fabric adds its correlation id in `more`. */
function codedRefusal(status, code, message, more) {
  return { status, headers: {}, body: { error: { ...more, code, message } } };
}

/** What Entra says of a resource that its tenant does not know. */
const UNKNOWN_RESOURCE = { error: "invalid_resource", code: 500_011 };

function unknownResourceWords(resource, tenantId) {
  return (
    `The resource principal named ${resource} was not found in the tenant named ${tenantId}. ` +
    "This can happen if the application has not been installed by the administrator of the tenant or " +
    "consented to by any user in the tenant. You might have sent your authentication request to the " +
    "wrong tenant."
  );
}

module.exports = {
  UNKNOWN_RESOURCE,
  codedRefusal,
  entraRefusal,
  oauthRefusal,
  siteRefusal,
  unknownResourceWords,
};
