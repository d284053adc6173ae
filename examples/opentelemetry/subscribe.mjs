// Converts the diagnostics channels of managed-identity-native to OpenTelemetry spans and metrics. Import this module
// once, after registering the tracer and meter providers. It costs nothing until a call is made.

import { channel } from "node:diagnostics_channel";
import { metrics, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";

const NAME = "managed-identity-native";
const tracer = trace.getTracer(NAME);
const meter = metrics.getMeter(NAME);
const durations = meter.createHistogram("managed_identity.acquire.duration", { unit: "s" });
const requests = meter.createCounter("managed_identity.requests");
const refreshes = meter.createCounter("managed_identity.background_refreshes");

/** Spans by message: the start and the end of a call are published with the same object. */
const spans = new WeakMap();

function on(name, listener) {
  channel(`${NAME}:${name}`).subscribe(listener);
}

on("acquire:start", (message) => {
  const attributes = { "managed_identity.resource": String(message.resource) };
  spans.set(message, {
    span: tracer.startSpan("acquire token", { attributes }),
    startedAt: performance.now(),
  });
});

on("acquire:end", (message) => {
  const { span, startedAt } = spans.get(message) ?? {};
  if (span === undefined) return; // The call started before the subscription.
  const { errorCode, fromCache, metadata } = message;
  const source = metadata?.tokenSource ?? "None";
  span.setAttributes({
    "managed_identity.token_source": source,
    "managed_identity.attempts": metadata?.attempts ?? 0,
  });
  if (fromCache === undefined) {
    span.setAttribute("error.type", errorCode ?? "aborted");
    span.setStatus({ code: SpanStatusCode.ERROR, message: errorCode });
  }
  span.end();
  durations.record((performance.now() - startedAt) / 1000, { "managed_identity.token_source": source });
});

on("request", ({ endpoint, source, statusCode, fault, durationInMs, attempt }) => {
  const attributes = {
    "url.full": endpoint,
    "managed_identity.source": source,
    "http.request.resend_count": attempt - 1,
    ...(statusCode !== undefined && { "http.response.status_code": statusCode }),
    ...(fault !== undefined && { "error.type": fault }),
  };
  // The event is published when the request has ended. Calls may share a request, so its span has no parent.
  const startTime = new Date(Date.now() - durationInMs);
  tracer.startSpan("managed identity request", { kind: SpanKind.CLIENT, startTime, attributes }).end();
  requests.add(1, { outcome: statusCode === undefined ? fault : String(statusCode) });
});

on("retry", ({ attempt, waitInMs, errorCode }) => {
  const attributes = { "error.type": errorCode, attempt, "managed_identity.wait": waitInMs / 1000 };
  tracer.startSpan("managed identity retry", { attributes }).end();
});

on("refresh", ({ errorCode }) => {
  refreshes.add(1, { outcome: errorCode ?? "ok" });
});
