// The types of `managed-identity-native/opentelemetry`, written by hand. They are its documentation, too.

/**
 * Records spans and metrics of this package with OpenTelemetry, until the returned function is called.
 *
 * The caller passes the API, so that this package does not depend on it: `trace` for spans, `metrics` for metrics, or
 * both. The whole module `@opentelemetry/api` has all the fields, too. The providers can be registered before or after the
 * call.
 *
 * - Each call of `acquireToken` or `getToken` is a span, `acquire token`, below the span that is active in the caller.
 * - Each HTTP request is a client span below the span of the call that started it, with the attributes of OpenTelemetry's
 *   semantic conventions for HTTP. It is not below the spans of other calls that wait for the same request.
 * - Each background refresh is a span, `refresh token`, below the span of the call that started it.
 * - The metrics are the histograms `http.client.request.duration` and `managed_identity.acquire.duration`, and the
 *   counter `managed_identity.background_refreshes`.
 *
 * No attribute contains a token, a secret or the query of a URL. docs/observability.md lists all of them. Each worker
 * thread records its own calls, and only after it has called `subscribe`. Neither the add-on nor another package is loaded.
 *
 * @param options - The API, and the providers if they are not the registered ones. Calling it again with the same ones
 * does not record anything twice; the recording then ends when each returned function has been called.
 * @returns A function that ends the recording. Spans of calls that are under way then do not end.
 * @throws {TypeError} The options have neither `trace` nor `metrics` nor a provider, or one of them is something else.
 * @example
 * import { metrics, trace } from "@opentelemetry/api";
 * import { subscribe } from "managed-identity-native/opentelemetry";
 * subscribe({ trace, metrics });
 */
export function subscribe(options: OpenTelemetryOptions): () => void;

/** The parts of OpenTelemetry that `subscribe` uses. */
export interface OpenTelemetryOptions {
  /** `trace` of `@opentelemetry/api`. Default: no spans without a `tracerProvider`. */
  trace?: OpenTelemetryTrace | undefined;
  /** `metrics` of `@opentelemetry/api`. Default: no metrics without a `meterProvider`. */
  metrics?: OpenTelemetryMetrics | undefined;
  /**
   * `context` of `@opentelemetry/api`, so that span processors see the caller's baggage on the spans of requests and
   * refreshes, too. Default: these spans have their parent only.
   */
  context?: OpenTelemetryContextApi | undefined;
  /**
   * The provider of the spans. Without `trace`, the spans of requests and refreshes are below the span that is active in
   * the caller, beside that of the call. Default: the provider that is registered when a span starts.
   */
  tracerProvider?: OpenTelemetryTracerProvider | undefined;
  /** The provider of the metrics. Default: the provider that is registered when a value is recorded. */
  meterProvider?: OpenTelemetryMeterProvider | undefined;
}

/** The part of `TraceAPI` of `@opentelemetry/api` that is used. */
export interface OpenTelemetryTrace {
  getTracerProvider(): OpenTelemetryTracerProvider;
  setSpan(context: OpenTelemetryContext, span: OpenTelemetrySpan): OpenTelemetryContext;
}

/** The part of `MetricsAPI` of `@opentelemetry/api` that is used. */
export interface OpenTelemetryMetrics {
  getMeterProvider(): OpenTelemetryMeterProvider;
}

/** The part of `ContextAPI` of `@opentelemetry/api` that is used. */
export interface OpenTelemetryContextApi {
  active(): OpenTelemetryContext;
}

/** `Context` of `@opentelemetry/api`. */
export interface OpenTelemetryContext {
  getValue(key: symbol): unknown;
  setValue(key: symbol, value: unknown): OpenTelemetryContext;
  deleteValue(key: symbol): OpenTelemetryContext;
}

/** The part of `TracerProvider` of `@opentelemetry/api` that is used. */
export interface OpenTelemetryTracerProvider {
  getTracer(name: string, version?: string): OpenTelemetryTracer;
}

/** The part of `Tracer` of `@opentelemetry/api` that is used. */
export interface OpenTelemetryTracer {
  startSpan(
    name: string,
    options?: {
      kind?: number;
      startTime?: [seconds: number, nanoseconds: number];
      attributes?: OpenTelemetryAttributes;
    },
    context?: OpenTelemetryContext,
  ): OpenTelemetrySpan;
}

/** The part of `Span` of `@opentelemetry/api` that is used. */
export interface OpenTelemetrySpan {
  setAttributes(attributes: OpenTelemetryAttributes): unknown;
  addEvent(name: string, attributes?: OpenTelemetryAttributes): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  end(endTime?: [seconds: number, nanoseconds: number]): void;
  isRecording(): boolean;
}

/** The part of `MeterProvider` of `@opentelemetry/api` that is used. */
export interface OpenTelemetryMeterProvider {
  getMeter(name: string, version?: string): OpenTelemetryMeter;
}

/** The part of `Meter` of `@opentelemetry/api` that is used. */
export interface OpenTelemetryMeter {
  createHistogram(
    name: string,
    options?: {
      description?: string;
      unit?: string;
      advice?: { explicitBucketBoundaries?: number[] };
    },
  ): OpenTelemetryHistogram;
  createCounter(name: string, options?: { description?: string; unit?: string }): OpenTelemetryCounter;
}

/** The part of `Histogram` of `@opentelemetry/api` that is used. */
export interface OpenTelemetryHistogram {
  record(value: number, attributes?: OpenTelemetryAttributes): void;
}

/** The part of `Counter` of `@opentelemetry/api` that is used. */
export interface OpenTelemetryCounter {
  add(value: number, attributes?: OpenTelemetryAttributes): void;
}

/** The attributes of a span or of a measurement. */
export interface OpenTelemetryAttributes {
  [name: string]: string | number | boolean;
}
