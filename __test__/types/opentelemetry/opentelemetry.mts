// The real @opentelemetry packages satisfy the structural types, and other values do not.

import * as api from "@opentelemetry/api";
import { context, metrics, trace } from "@opentelemetry/api";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import {
  type OpenTelemetryContext,
  type OpenTelemetryMeterProvider,
  type OpenTelemetryOptions,
  type OpenTelemetrySpan,
  type OpenTelemetryTracerProvider,
  subscribe,
} from "managed-identity-native/opentelemetry";

const unsubscribe: () => void = subscribe({ trace, metrics });
unsubscribe();
subscribe(api);
subscribe({ trace });
subscribe({ metrics });
subscribe({ trace, metrics, context });
subscribe({ trace, tracerProvider: new BasicTracerProvider(), meterProvider: new MeterProvider() });
subscribe({ trace, metrics: undefined });

export const tracerProvider: OpenTelemetryTracerProvider = trace.getTracerProvider();
export const meterProvider: OpenTelemetryMeterProvider = metrics.getMeterProvider();
export const span: OpenTelemetrySpan = trace.getTracer("service").startSpan("span");
export const active: OpenTelemetryContext = context.active();
export const options: OpenTelemetryOptions = { trace, metrics };

// @ts-expect-error the options are required
subscribe();
// @ts-expect-error another API
subscribe({ trace: metrics });
// @ts-expect-error a tracer is not a provider
subscribe({ trace, tracerProvider: trace.getTracer("service") });
// @ts-expect-error an unknown option
subscribe({ trace, tracer: trace.getTracer("service") });
