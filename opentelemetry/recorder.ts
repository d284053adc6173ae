// Converts the diagnostics channels of this package to spans and metrics.
//
// The span of a call is in an AsyncLocalStorage while the call starts. The events of a request are delivered in the async
// context of the call that started it, so they find the span there.

import { AsyncLocalStorage } from "node:async_hooks";
import { channel } from "node:diagnostics_channel";
import type {
  AcquireMessage,
  DiagnosticsChannels,
  RefreshMessage,
  RequestMessage,
  RetryMessage,
} from "managed-identity-native";
import type {
  OpenTelemetryAttributes,
  OpenTelemetryContext,
  OpenTelemetryMeterProvider,
  OpenTelemetryOptions,
  OpenTelemetrySpan,
  OpenTelemetryTracer,
  OpenTelemetryTracerProvider,
} from "managed-identity-native/opentelemetry";
import { VERSION } from "../lib/version.js";
import {
  callErrorType,
  callMetricAttributes,
  callSpanAttributes,
  refreshMetricAttributes,
  refreshSpanAttributes,
  requestErrorType,
  requestMetricAttributes,
  requestSpanAttributes,
} from "./attributes.js";
import { EMPTY_CONTEXT } from "./empty-context.js";
import { createInstruments, type Instruments } from "./instruments.js";

/** The instrumentation scope. */
const NAME = "managed-identity-native";

/** SpanKind.CLIENT and SpanStatusCode.ERROR of @opentelemetry/api. */
const CLIENT = 2;
const ERROR = 2;

/** A call between its start and its end. */
interface Call {
  readonly span: OpenTelemetrySpan | undefined;
  readonly startedAt: number;
}

/** The name of an event's channel, and the function that records the event. */
type Listener = readonly [name: keyof DiagnosticsChannels, listener: (message: unknown) => void];

export class Recorder {
  readonly #options: OpenTelemetryOptions;
  /** The span of the call that an async context belongs to. */
  readonly #spanOfCall = new AsyncLocalStorage<OpenTelemetrySpan | undefined>();
  /** The start and the end of a call are published with the same object. */
  readonly #calls = new WeakMap<AcquireMessage, Call>();
  readonly #start = channel("managed-identity-native:acquire:start");
  readonly #listeners: readonly Listener[] = [
    ["managed-identity-native:acquire:end", (message) => this.#onEnd(message as AcquireMessage)],
    ["managed-identity-native:request", (message) => this.#onRequest(message as RequestMessage)],
    ["managed-identity-native:retry", (message) => this.#onRetry(message as RetryMessage)],
    ["managed-identity-native:refresh", (message) => this.#onRefresh(message as RefreshMessage)],
  ];
  /** The provider that was used last, with its tracer or instruments. A program may register it after the first call. */
  #tracer: readonly [OpenTelemetryTracerProvider, OpenTelemetryTracer] | undefined;
  #instruments: readonly [OpenTelemetryMeterProvider, Instruments] | undefined;

  constructor(options: OpenTelemetryOptions) {
    this.#options = options;
    this.#start.bindStore(this.#spanOfCall, (message) => this.#startCall(message as AcquireMessage));
    for (const [name, listener] of this.#listeners) channel(name).subscribe(listener);
  }

  stop(): void {
    this.#start.unbindStore(this.#spanOfCall);
    for (const [name, listener] of this.#listeners) channel(name).unsubscribe(listener);
  }

  /** Returns the span of a call that starts. Runs in the context of the caller, whose active span is the parent. */
  #startCall(message: AcquireMessage): OpenTelemetrySpan | undefined {
    const span = this.#currentTracer()?.startSpan("acquire token");
    this.#calls.set(message, { span, startedAt: performance.now() });
    return span;
  }

  #onEnd(message: AcquireMessage): void {
    const call = this.#calls.get(message);
    if (call === undefined) return; // It started before the subscription.
    const { span, startedAt } = call;
    const attributes = callMetricAttributes(message);
    // A provider that throws loses its own values only.
    try {
      span?.setAttributes({ ...attributes, ...callSpanAttributes(message) });
      if (callErrorType(message) !== undefined) span?.setStatus({ code: ERROR });
    } finally {
      try {
        span?.end();
      } finally {
        this.#currentInstruments()?.calls.record((performance.now() - startedAt) / 1_000, attributes);
      }
    }
  }

  #onRequest(message: RequestMessage): void {
    const attributes = requestMetricAttributes(message);
    try {
      this.#recordSpan(attributes["http.request.method"] as string, {
        kind: CLIENT,
        durationInMs: message.durationInMs,
        attributes: { ...attributes, ...requestSpanAttributes(message) },
        hasFailed: requestErrorType(message) !== undefined,
      });
    } finally {
      this.#currentInstruments()?.requests.record(message.durationInMs / 1_000, attributes);
    }
  }

  #onRetry({ attempt, errorCode, waitInMs }: RetryMessage): void {
    const span = this.#spanOfCall.getStore();
    // The call of a background refresh has ended; the next request has its number.
    if (!span?.isRecording()) return;
    span.addEvent("retry", {
      "error.type": errorCode,
      "managed_identity.attempt": attempt,
      "managed_identity.retry_delay": waitInMs / 1_000,
    });
  }

  #onRefresh(message: RefreshMessage): void {
    const attributes = refreshMetricAttributes(message);
    try {
      this.#recordSpan("refresh token", {
        durationInMs: message.metadata?.durationTotalInMs ?? 0,
        attributes: { ...attributes, ...refreshSpanAttributes(message) },
        hasFailed: message.errorCode !== undefined,
      });
    } finally {
      this.#currentInstruments()?.refreshes.add(1, attributes);
    }
  }

  /** Records a span that ends now, below the span of the call that the event belongs to. */
  #recordSpan(
    name: string,
    details: { kind?: number; durationInMs: number; attributes: OpenTelemetryAttributes; hasFailed: boolean },
  ): void {
    const { attributes, durationInMs, hasFailed, kind } = details;
    const now = Date.now();
    const options = {
      ...(kind !== undefined && { kind }),
      startTime: toHrTime(now - durationInMs),
      attributes,
    };
    const span = this.#currentTracer()?.startSpan(name, options, this.#contextOfCall());
    try {
      if (hasFailed) span?.setStatus({ code: ERROR });
    } finally {
      span?.end(toHrTime(now));
    }
  }

  /** Undefined stands for the active context. */
  #contextOfCall(): OpenTelemetryContext | undefined {
    const { context, trace } = this.#options;
    const span = this.#spanOfCall.getStore();
    return span === undefined ? undefined : trace?.setSpan(context?.active() ?? EMPTY_CONTEXT, span);
  }

  #currentTracer(): OpenTelemetryTracer | undefined {
    const { trace, tracerProvider = trace?.getTracerProvider() } = this.#options;
    if (tracerProvider === undefined) return undefined;
    if (this.#tracer?.[0] !== tracerProvider) {
      this.#tracer = [tracerProvider, tracerProvider.getTracer(NAME, VERSION)];
    }
    return this.#tracer[1];
  }

  #currentInstruments(): Instruments | undefined {
    const { metrics, meterProvider = metrics?.getMeterProvider() } = this.#options;
    if (meterProvider === undefined) return undefined;
    if (this.#instruments?.[0] !== meterProvider) {
      this.#instruments = [meterProvider, createInstruments(meterProvider.getMeter(NAME, VERSION))];
    }
    return this.#instruments[1];
  }
}

/** Converts a time of the system's clock. A number might be taken for one of `performance.now()`. */
function toHrTime(ms: number): [seconds: number, nanoseconds: number] {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.floor((ms - seconds * 1_000) * 1_000_000)];
}
