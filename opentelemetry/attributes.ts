// The attributes of spans and metrics. Names without a prefix of this package are those of OpenTelemetry's semantic
// conventions: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client

import type { AcquireMessage, RefreshMessage, RequestMessage } from "managed-identity-native";
import type { OpenTelemetryAttributes } from "managed-identity-native/opentelemetry";

/** The sources that are requested by POST (docs/wire-protocol.md). All others are requested by GET. */
const POST_SOURCES: ReadonlySet<string> = new Set(["CloudShell", "WorkloadIdentity"]);

/** The attributes of an HTTP request that its metric has, too. */
export function requestMetricAttributes(message: RequestMessage): OpenTelemetryAttributes {
  const { endpoint, source, statusCode } = message;
  const errorType = requestErrorType(message);
  return {
    "http.request.method": POST_SOURCES.has(source) ? "POST" : "GET",
    ...serverAttributes(endpoint),
    ...(statusCode !== undefined && { "http.response.status_code": statusCode }),
    ...(errorType !== undefined && { "error.type": errorType }),
  };
}

/** The attributes that only the span of an HTTP request has: their values are too many for a metric. */
export function requestSpanAttributes(message: RequestMessage): OpenTelemetryAttributes {
  const { attempt, correlationId, endpoint, resource, source } = message;
  return {
    "url.full": withoutQuery(endpoint),
    ...(attempt > 1 && { "http.request.resend_count": attempt - 1 }),
    "managed_identity.source": source,
    "managed_identity.resource": resource,
    "managed_identity.correlation_id": correlationId,
  };
}

/** Returns why a request counts as failed; undefined if it does not. */
export function requestErrorType({ statusCode, fault }: RequestMessage): string | undefined {
  if (fault !== undefined) return fault;
  return statusCode !== undefined && statusCode >= 400 ? String(statusCode) : undefined;
}

/** Returns why a call failed; undefined if it did not. */
export function callErrorType({ fromCache, errorCode, error }: AcquireMessage): string | undefined {
  if (fromCache !== undefined) return undefined;
  if (typeof errorCode === "string") return errorCode;
  // The reason of an abort signal, which can be anything. Only the name of a class is certain not to be a secret.
  return error instanceof Error ? error.name : "_OTHER";
}

export function callMetricAttributes(message: AcquireMessage): OpenTelemetryAttributes {
  const errorType = callErrorType(message);
  const tokenSource = message.metadata?.tokenSource;
  return {
    ...(tokenSource !== undefined && { "managed_identity.token_source": tokenSource }),
    ...(errorType !== undefined && { "error.type": errorType }),
  };
}

export function callSpanAttributes(message: AcquireMessage): OpenTelemetryAttributes {
  const { correlationId, errorCode, metadata, resource } = message;
  // A value that is not a resource may be a secret that stands in the wrong variable.
  const isResource = typeof resource === "string" && errorCode !== "invalid_resource";
  return {
    ...(isResource && { "managed_identity.resource": resource }),
    ...(correlationId !== undefined && { "managed_identity.correlation_id": correlationId }),
    ...(metadata !== undefined && {
      "managed_identity.cache_refresh_reason": metadata.cacheRefreshReason,
      "managed_identity.attempts": metadata.attempts,
    }),
  };
}

export function refreshMetricAttributes({ errorCode }: RefreshMessage): OpenTelemetryAttributes {
  return errorCode === undefined ? {} : { "error.type": errorCode };
}

export function refreshSpanAttributes(message: RefreshMessage): OpenTelemetryAttributes {
  const { correlationId, metadata, resource, source } = message;
  return {
    "managed_identity.source": source,
    "managed_identity.resource": resource,
    "managed_identity.correlation_id": correlationId,
    ...(metadata !== undefined && { "managed_identity.attempts": metadata.attempts }),
  };
}

function serverAttributes(endpoint: string): OpenTelemetryAttributes {
  if (!URL.canParse(endpoint)) return {};
  const { hostname, port, protocol } = new URL(endpoint);
  const defaultPort = protocol === "https:" ? 443 : 80;
  return {
    "server.address": hostname.replace(/^\[(.*)\]$/, "$1"),
    "server.port": port === "" ? defaultPort : Number(port),
  };
}

/** The events have no query and no credentials in the URL; a URL that has them anyway must not reach an exporter. */
function withoutQuery(endpoint: string): string {
  if (!URL.canParse(endpoint)) return "";
  const { origin, pathname } = new URL(endpoint);
  return `${origin}${pathname}`;
}
