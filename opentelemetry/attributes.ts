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
    ...resourceAttribute(resource),
    "managed_identity.correlation_id": correlationId,
  };
}

/** Returns why a request counts as failed; undefined if it does not. */
export function requestErrorType({ statusCode, fault }: RequestMessage): string | undefined {
  if (fault !== undefined) return fault;
  return statusCode !== undefined && statusCode >= 400 ? String(statusCode) : undefined;
}

/** Returns why a call failed; undefined if it did not. */
export function callErrorType(message: AcquireMessage): string | undefined {
  if (Object.hasOwn(message, "fromCache")) return undefined;
  return message.errorCode ?? abortType(message.error);
}

/** Returns the name of a reason of AbortSignal itself. Any other reason is the caller's, and its name can be a secret. */
function abortType(reason: unknown): string {
  try {
    const { name } = reason as { readonly name?: unknown };
    if (name === "AbortError" || name === "TimeoutError") return name;
  } catch {
    // It has no fields, or they cannot be read.
  }
  return "_OTHER";
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
  const { correlationId, metadata, resource } = message;
  return {
    // Without metadata nothing has checked the resource: it may be a secret that stands in the wrong variable.
    ...(metadata !== undefined && resourceAttribute(resource)),
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
    ...resourceAttribute(resource),
    "managed_identity.correlation_id": correlationId,
    ...(metadata !== undefined && { "managed_identity.attempts": metadata.attempts }),
  };
}

/** A resource can be a URL with a signature or a password, by mistake; both are left out. */
function resourceAttribute(resource: unknown): OpenTelemetryAttributes {
  if (typeof resource !== "string") return {};
  const shown = resource.replace(/[?#].*$/s, "").replace(/^([^:/\\]+:[/\\]{2})[^/\\]*@/, "$1");
  const { username, password } = URL.canParse(shown) ? new URL(shown) : { username: "", password: "" };
  return username + password === "" ? { "managed_identity.resource": shown } : {};
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
