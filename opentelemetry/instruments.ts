// The instruments of the metrics.

import type {
  OpenTelemetryCounter,
  OpenTelemetryHistogram,
  OpenTelemetryMeter,
} from "managed-identity-native/opentelemetry";

/** The boundaries that OpenTelemetry's semantic conventions recommend for durations of HTTP requests. */
const DURATION_BOUNDARIES = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** The instruments of one meter. */
export interface Instruments {
  readonly requests: OpenTelemetryHistogram;
  readonly calls: OpenTelemetryHistogram;
  readonly refreshes: OpenTelemetryCounter;
}

export function createInstruments(meter: OpenTelemetryMeter): Instruments {
  const duration = (description: string) => ({
    description,
    unit: "s",
    advice: { explicitBucketBoundaries: DURATION_BOUNDARIES },
  });
  return {
    requests: meter.createHistogram(
      "http.client.request.duration",
      duration("Duration of HTTP client requests."),
    ),
    calls: meter.createHistogram(
      "managed_identity.acquire.duration",
      duration("Duration of calls that acquire a token."),
    ),
    refreshes: meter.createCounter("managed_identity.background_refreshes", {
      description: "Number of background refreshes that ended.",
      unit: "{refresh}",
    }),
  };
}
