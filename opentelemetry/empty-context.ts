// A context of OpenTelemetry without values, for callers that do not pass the API that has one.

import type { OpenTelemetryContext } from "managed-identity-native/opentelemetry";

class Context implements OpenTelemetryContext {
  readonly #values: ReadonlyMap<symbol, unknown>;

  constructor(values: ReadonlyMap<symbol, unknown>) {
    this.#values = values;
  }

  getValue(key: symbol): unknown {
    return this.#values.get(key);
  }

  setValue(key: symbol, value: unknown): Context {
    return new Context(new Map(this.#values).set(key, value));
  }

  deleteValue(key: symbol): Context {
    const values = new Map(this.#values);
    values.delete(key);
    return new Context(values);
  }
}

export const EMPTY_CONTEXT: OpenTelemetryContext = new Context(new Map());
