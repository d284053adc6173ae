// `subscribe`: checks the options, and shares one recorder among all callers that pass the same ones.

import type { OpenTelemetryOptions } from "managed-identity-native/opentelemetry";
import { Recorder } from "./recorder.js";

/** The fields of the options, each with a method by which it is recognized. */
const FIELDS = {
  trace: "getTracerProvider",
  metrics: "getMeterProvider",
  context: "active",
  tracerProvider: "getTracer",
  meterProvider: "getMeter",
} as const;

type Field = keyof typeof FIELDS;
const NAMES = Object.keys(FIELDS) as Field[];

/** A recorder, and how many of the functions that `subscribe` returned for it have not been called. */
interface Subscription {
  readonly options: OpenTelemetryOptions;
  readonly recorder: Recorder;
  users: number;
}

/** The subscriptions of this thread. */
const subscriptions = new Set<Subscription>();

export function subscribe(options: OpenTelemetryOptions): () => void {
  const checked = checkOptions(options);
  const subscription = findSubscription(checked) ?? startSubscription(checked);
  subscription.users += 1;
  let isSubscribed = true;
  return () => {
    if (!isSubscribed) return;
    isSubscribed = false;
    subscription.users -= 1;
    if (subscription.users > 0) return;
    subscriptions.delete(subscription);
    subscription.recorder.stop();
  };
}

function findSubscription(options: OpenTelemetryOptions): Subscription | undefined {
  for (const subscription of subscriptions) {
    if (NAMES.every((name) => subscription.options[name] === options[name])) return subscription;
  }
  return undefined;
}

function startSubscription(options: OpenTelemetryOptions): Subscription {
  const subscription = { options, recorder: new Recorder(options), users: 0 };
  subscriptions.add(subscription);
  return subscription;
}

/** Returns a copy of the options. Not a ManagedIdentityError: its class would load the add-on. */
function checkOptions(options: OpenTelemetryOptions): OpenTelemetryOptions {
  if (typeof options !== "object" || options === null) {
    throw new TypeError("subscribe: the options must be an object, such as { trace, metrics }.");
  }
  const checked: { [Name in Field]?: unknown } = {};
  for (const name of NAMES) {
    const value: unknown = options[name] ?? undefined;
    if (value === undefined) continue;
    if (typeof (value as { [method: string]: unknown })[FIELDS[name]] !== "function") {
      const origin = name.endsWith("Provider") ? `a ${name}` : `"${name}" of @opentelemetry/api`;
      throw new TypeError(`subscribe: "${name}" must be ${origin}, which has a method ${FIELDS[name]}.`);
    }
    checked[name] = value;
  }
  const { context: _, ...sources } = checked;
  if (Object.keys(sources).length === 0) {
    throw new TypeError(
      'subscribe: the options need "trace" or "metrics" of @opentelemetry/api, or a provider.',
    );
  }
  return checked as OpenTelemetryOptions;
}
