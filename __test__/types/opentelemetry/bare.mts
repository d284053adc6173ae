// Neither @opentelemetry/api nor `@types/node` nor the newest library: the types need no other package.

import { type OpenTelemetryTracerProvider, subscribe } from "managed-identity-native/opentelemetry";

declare const tracerProvider: OpenTelemetryTracerProvider;
export const unsubscribe = subscribe({ tracerProvider });
