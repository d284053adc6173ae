// managed-identity-native/opentelemetry, with the real @opentelemetry packages: which spans and metrics calls, requests and
// refreshes become. Channels belong to the process, so the tests run one after another.

import { AsyncLocalStorage } from "node:async_hooks";
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as api from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import test from "ava";
import { neededBySource, testWith } from "./support/capabilities.mjs";
import { runProcess } from "./support/child-program.mjs";
import { NO_RETRIES, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { environmentWith, withEnvironment } from "./support/environment.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");
const { subscribe } = require("managed-identity-native/opentelemetry");
const { version } = require("../package.json");

const { context, metrics, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = api;
const HOUR = 3_600_000;

/** A context manager as in @opentelemetry/context-async-hooks. */
class ContextManager {
  #storage = new AsyncLocalStorage();
  active() {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }
  with(active, call, thisArgument, ...args) {
    return this.#storage.run(active, () => call.apply(thisArgument, args));
  }
  bind(_, target) {
    return target;
  }
  enable() {
    return this;
  }
  disable() {
    return this;
  }
}

test.before(() => context.setGlobalContextManager(new ContextManager()));

/** Creates providers. `spans()` returns the ended spans; `points()` the data points of the metrics, by name. */
function createProviders(t) {
  const exporter = new InMemorySpanExporter();
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter: metricExporter });
  const meterProvider = new MeterProvider({ readers: [reader] });
  t.teardown(() => Promise.all([tracerProvider.shutdown(), meterProvider.shutdown()]));
  return {
    tracerProvider,
    meterProvider,
    spans: () => exporter.getFinishedSpans(),
    async points() {
      metricExporter.reset();
      await reader.forceFlush();
      const found = metricExporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics);
      const all = found.flatMap((scope) => scope.metrics);
      return Object.fromEntries(
        all.map(({ descriptor, dataPoints }) => [
          descriptor.name,
          dataPoints.map(({ attributes, value }) => ({ attributes, count: value.count ?? value })),
        ]),
      );
    },
  };
}

function subscribeUntilEnd(t, options) {
  const unsubscribe = subscribe(options);
  t.teardown(unsubscribe);
  return unsubscribe;
}

function spansNamed(spans, name) {
  return spans.filter((span) => span.name === name);
}

function acquire(endpoint, request = RESOURCE, configuration = NO_RETRIES) {
  return withEnvironment(endpoint.env, () =>
    new ManagedIdentityApplication(configuration).acquireToken(request),
  );
}

test.serial("a call is a span below the caller's active span, with its requests below it", async (t) => {
  const { tracerProvider, meterProvider, spans } = createProviders(t);
  subscribeUntilEnd(t, { trace, context, tracerProvider, meterProvider });
  const endpoint = await startEndpoint(t);
  endpoint.next([{ status: 503 }, {}]);
  const tracer = tracerProvider.getTracer("service");
  const traces = await Promise.all(
    ["https://one.example", "https://two.example"].map((resource) =>
      tracer.startActiveSpan("handle order", async (handler) => {
        await acquire(endpoint, resource, { system: { retryOptions: { retryDelayInMs: 1 } } });
        handler.end();
        return handler.spanContext();
      }),
    ),
  );
  for (const handler of traces) {
    const own = spans().filter((span) => span.spanContext().traceId === handler.traceId);
    const [call] = spansNamed(own, "acquire token");
    t.is(call.parentSpanContext.spanId, handler.spanId);
    t.deepEqual([call.kind, call.status.code], [SpanKind.INTERNAL, SpanStatusCode.UNSET]);
    t.deepEqual(call.instrumentationScope, {
      name: "managed-identity-native",
      version,
      schemaUrl: undefined,
    });
    const requests = spansNamed(own, "GET");
    t.true(requests.length > 0);
    for (const request of requests) {
      t.is(request.parentSpanContext.spanId, call.spanContext().spanId);
      t.is(request.kind, SpanKind.CLIENT);
      t.true(request.duration[0] < 5);
      t.is(
        call.attributes["managed_identity.correlation_id"],
        request.attributes["managed_identity.correlation_id"],
      );
    }
    t.is(call.attributes["managed_identity.attempts"], requests.length);
    t.deepEqual(
      call.events.map(({ name, attributes }) => [name, attributes["managed_identity.attempt"]]),
      requests.length === 1 ? [] : [["retry", 1]],
    );
  }
  t.is(spansNamed(spans(), "GET").length, 3);
});

test.serial("attributes and names follow the semantic conventions for HTTP clients", async (t) => {
  const { tracerProvider, meterProvider, spans, points } = createProviders(t);
  subscribeUntilEnd(t, { trace, tracerProvider, meterProvider });
  const endpoint = await startEndpoint(t);
  const { hostname, port } = new URL(endpoint.origin);
  endpoint.next([{ status: 400 }, {}]);
  await t.throwsAsync(acquire(endpoint));
  await acquire(endpoint);
  await acquire(endpoint);
  endpoint.always({ reset: true }); // Always, since a request on a connection that was kept open is sent again.
  await t.throwsAsync(acquire(endpoint, "https://storage.azure.com"));
  const server = { "http.request.method": "GET", "server.address": hostname, "server.port": Number(port) };
  const [failed, succeeded, disconnected] = spansNamed(spans(), "GET");
  const { "managed_identity.correlation_id": _, ...attributes } = failed.attributes;
  t.deepEqual(attributes, {
    ...server,
    "url.full": new URL(endpoint.env.IDENTITY_ENDPOINT).href,
    "http.response.status_code": 400,
    "error.type": "400",
    "managed_identity.source": "AppService",
    "managed_identity.resource": RESOURCE,
  });
  t.deepEqual(
    [failed, succeeded, disconnected].map(({ status }) => status.code),
    [SpanStatusCode.ERROR, SpanStatusCode.UNSET, SpanStatusCode.ERROR],
  );
  t.false("error.type" in succeeded.attributes);
  t.is(disconnected.attributes["error.type"], "ECONNRESET");
  t.deepEqual(
    spansNamed(spans(), "acquire token").map((span) => span.attributes["managed_identity.token_source"]),
    [undefined, "IdentityProvider", "Cache", undefined],
  );
  t.deepEqual(await points(), {
    "http.client.request.duration": [
      { attributes: { ...server, "http.response.status_code": 400, "error.type": "400" }, count: 1 },
      { attributes: { ...server, "http.response.status_code": 200 }, count: 1 },
      { attributes: { ...server, "error.type": "ECONNRESET" }, count: 1 },
    ],
    "managed_identity.acquire.duration": [
      { attributes: { "error.type": "managed_identity_failed_response" }, count: 1 },
      { attributes: { "managed_identity.token_source": "IdentityProvider" }, count: 1 },
      { attributes: { "managed_identity.token_source": "Cache" }, count: 1 },
      { attributes: { "error.type": "managed_identity_unreachable_network" }, count: 1 },
    ],
  });
});

for (const source of ["workload-identity", "cloud-shell"]) {
  testWith(test.serial, ...neededBySource(source))(`${source}: the requests are POST`, async (t) => {
    const { tracerProvider, spans } = createProviders(t);
    subscribeUntilEnd(t, { trace, tracerProvider });
    const endpoint = await startEndpoint(t, source);
    await acquire(endpoint);
    t.is(endpoint.requests[0].method, "POST");
    t.is(spansNamed(spans(), "POST").length, 1);
  });
}

test.serial("a background refresh and its request are below the call that started it", async (t) => {
  const { tracerProvider, meterProvider, spans, points } = createProviders(t);
  subscribeUntilEnd(t, { trace, tracerProvider, meterProvider });
  const endpoint = await startEndpoint(t, "app-service", { clock: () => Date.now() });
  const resource = "https://ages.example";
  await acquire(endpoint, resource);
  endpoint.next([{}, { status: 400 }]);
  const { now } = Date;
  t.teardown(() => {
    Date.now = now;
  });
  for (const ahead of [13 * HOUR, 26 * HOUR]) {
    Date.now = () => now() + ahead;
    await acquire(endpoint, resource);
    t.true(await ManagedIdentityApplication.flush());
  }
  const refreshes = spansNamed(spans(), "refresh token");
  const calls = spansNamed(spans(), "acquire token");
  t.deepEqual(
    refreshes.map(({ parentSpanContext }) => parentSpanContext.spanId),
    calls.slice(1).map((call) => call.spanContext().spanId),
  );
  t.deepEqual(
    spansNamed(spans(), "GET").map(({ parentSpanContext }) => parentSpanContext.spanId),
    calls.map((call) => call.spanContext().spanId),
  );
  t.deepEqual(
    refreshes.map((span) => [span.status.code, span.attributes["error.type"]]),
    [
      [SpanStatusCode.UNSET, undefined],
      [SpanStatusCode.ERROR, "managed_identity_failed_response"],
    ],
  );
  const { "managed_identity.background_refreshes": counts } = await points();
  t.deepEqual(counts, [
    { attributes: {}, count: 1 },
    { attributes: { "error.type": "managed_identity_failed_response" }, count: 1 },
  ]);
});

test.serial("no attribute contains a token, a secret or a value that is not a resource", async (t) => {
  const { tracerProvider, meterProvider, spans, points } = createProviders(t);
  subscribeUntilEnd(t, { trace, tracerProvider, meterProvider });
  const endpoint = await startEndpoint(t);
  const { accessToken } = await acquire(endpoint);
  const misplaced = "a-secret-in-the-wrong-variable";
  await t.throwsAsync(acquire(endpoint, misplaced), { code: "invalid_resource" });
  const abortSignal = AbortSignal.abort(misplaced);
  await t.throwsAsync(acquire(endpoint, { resource: RESOURCE, abortSignal }), { any: true });
  const recorded = JSON.stringify([
    spans().map(({ name, attributes, events, status }) => ({ name, attributes, events, status })),
    await points(),
  ]);
  for (const secret of [accessToken, endpoint.env.IDENTITY_HEADER, misplaced, "?"]) {
    t.false(recorded.includes(secret), recorded);
  }
  t.deepEqual(
    spansNamed(spans(), "acquire token").map((span) => span.attributes["error.type"]),
    [undefined, "invalid_resource", "_OTHER"],
  );
});

const SECRET = "a-secret-of-the-caller";

/** Reasons of an abort that contain a secret, or that cannot be read. */
const REASONS = {
  "fields of an error": Object.assign(new Error(SECRET), {
    name: SECRET,
    errorCode: SECRET,
    correlationId: SECRET,
    metadata: { tokenSource: SECRET, cacheRefreshReason: SECRET, attempts: SECRET },
  }),
  "metadata that is null": Object.assign(new Error("aborted"), { metadata: null }),
  "a name that throws": Object.defineProperty(new Error("aborted"), "name", {
    get() {
      throw new Error(SECRET);
    },
  }),
  "an error code that throws": {
    get errorCode() {
      throw new Error(SECRET);
    },
  },
  "a revoked proxy": (() => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  })(),
  "undefined fields": Object.create(null),
};

for (const [name, reason] of Object.entries(REASONS)) {
  test.serial(
    `the reason of an abort, ${name}: the call rejects with it, and nothing of it is recorded`,
    async (t) => {
      const { tracerProvider, meterProvider, spans, points } = createProviders(t);
      subscribeUntilEnd(t, { trace, tracerProvider, meterProvider });
      const endpoint = await startEndpoint(t);
      const controller = new AbortController();
      const call = acquire(endpoint, { resource: RESOURCE, abortSignal: controller.signal });
      controller.abort(reason);
      t.true(
        await call.then(
          () => false,
          (error) => error === reason,
        ),
      );
      const [span] = spansNamed(spans(), "acquire token");
      t.is(span.attributes["error.type"], "_OTHER");
      t.is(span.status.code, SpanStatusCode.ERROR);
      t.false(JSON.stringify([span.attributes, await points()]).includes(SECRET));
    },
  );
}

test.serial(
  "a resource is recorded without its query and password, and only once it has been checked",
  async (t) => {
    const { tracerProvider, meterProvider, spans } = createProviders(t);
    subscribeUntilEnd(t, { trace, tracerProvider, meterProvider });
    const endpoint = await startEndpoint(t);
    const recorded = async (request) => {
      const before = spans().length;
      await acquire(endpoint, request).catch(() => {});
      const found = spans().slice(before);
      t.false(JSON.stringify(found.map(({ attributes }) => attributes)).includes(SECRET), String(request));
      return spansNamed(found, "acquire token")[0].attributes["managed_identity.resource"];
    };
    t.is(await recorded(`https://one.example/?sig=${SECRET}`), "https://one.example/");
    t.is(await recorded(`https://two.example/#${SECRET}`), "https://two.example/");
    t.is(await recorded(`https://user:${SECRET}@three.example`), "https://three.example");
    t.is(await recorded("api://app"), "api://app");
    t.is(await recorded({ resource: SECRET, abortSignal: AbortSignal.abort() }), undefined);
    t.is(await recorded({ resource: SECRET, abortSignal: 1 }), undefined);
  },
);

test.serial(
  "a call whose result is shadowed by a polluted prototype is still recorded as failed",
  async (t) => {
    const { tracerProvider, spans } = createProviders(t);
    subscribeUntilEnd(t, { trace, tracerProvider });
    const endpoint = await startEndpoint(t);
    Object.defineProperty(Object.prototype, "fromCache", { value: true, configurable: true });
    t.teardown(() => Reflect.deleteProperty(Object.prototype, "fromCache"));
    const abortSignal = AbortSignal.abort();
    await t.throwsAsync(acquire(endpoint, { resource: RESOURCE, abortSignal }), { any: true });
    t.is(spansNamed(spans(), "acquire token")[0].attributes["error.type"], "AbortError");
  },
);

/** Acquires a token with a provider that throws, and reports the ended spans and the uncaught errors. */
async function acquireWithBrokenMeter({ native, require, report }) {
  const { subscribe } = require("managed-identity-native/opentelemetry");
  const ended = [];
  const startSpan = (name) => {
    const span = { setAttributes() {}, addEvent() {}, setStatus() {}, isRecording: () => true };
    return { ...span, end: () => ended.push(name) };
  };
  subscribe({
    tracerProvider: { getTracer: () => ({ startSpan }) },
    meterProvider: {
      getMeter() {
        throw new Error("broken meter");
      },
    },
  });
  const uncaught = [];
  process.on("uncaughtException", ({ message }) => uncaught.push(message));
  await new native.ManagedIdentityApplication().acquireToken("https://vault.azure.net");
  await new Promise(setImmediate);
  report({ ended, uncaught: [...new Set(uncaught)] });
}

test("a meter provider that throws does not lose the spans", async (t) => {
  const { env } = await startEndpoint(t);
  const [{ ended, uncaught }] = await runProcess(t, acquireWithBrokenMeter, { env });
  t.deepEqual(ended.sort(), ["GET", "acquire token"]);
  t.deepEqual(uncaught, ["broken meter"]);
});

test.serial(
  "a second subscription with the same options does not double, and the last one ends it",
  async (t) => {
    const { tracerProvider, meterProvider, spans, points } = createProviders(t);
    const options = { trace, tracerProvider, meterProvider };
    const first = subscribeUntilEnd(t, options);
    const second = subscribeUntilEnd(t, { ...options });
    const endpoint = await startEndpoint(t);
    await acquire(endpoint);
    t.deepEqual([spans().length, (await points())["http.client.request.duration"][0].count], [2, 1]);
    first();
    first();
    await acquire(endpoint);
    t.is(spans().length, 3);
    second();
    await acquire(endpoint);
    t.is(spans().length, 3);
  },
);

test.serial("subscriptions with different providers are independent", async (t) => {
  const [one, other] = [createProviders(t), createProviders(t)];
  const endOne = subscribeUntilEnd(t, { trace, tracerProvider: one.tracerProvider });
  subscribeUntilEnd(t, { trace, tracerProvider: other.tracerProvider });
  const endpoint = await startEndpoint(t);
  await acquire(endpoint);
  endOne();
  await acquire(endpoint);
  t.deepEqual([one.spans().length, other.spans().length], [2, 3]);
  for (const { spans } of [one, other]) {
    const [request] = spansNamed(spans(), "GET");
    const [call] = spansNamed(spans(), "acquire token");
    t.is(request.parentSpanContext.spanId, call.spanContext().spanId);
  }
});

test.serial(
  "without trace, requests are below the caller's span; without metrics, there are spans only",
  async (t) => {
    const { tracerProvider, spans } = createProviders(t);
    subscribeUntilEnd(t, { tracerProvider });
    const endpoint = await startEndpoint(t);
    await tracerProvider.getTracer("service").startActiveSpan("caller", async (caller) => {
      await acquire(endpoint);
      caller.end();
    });
    const [caller] = spansNamed(spans(), "caller");
    for (const name of ["acquire token", "GET"]) {
      t.is(spansNamed(spans(), name)[0].parentSpanContext.spanId, caller.spanContext().spanId, name);
    }
  },
);

test.serial("a provider that is registered after the subscription and the first call is used", async (t) => {
  subscribeUntilEnd(t, api);
  const endpoint = await startEndpoint(t);
  await acquire(endpoint);
  const { tracerProvider, meterProvider, spans, points } = createProviders(t);
  trace.setGlobalTracerProvider(tracerProvider);
  metrics.setGlobalMeterProvider(meterProvider);
  t.teardown(() => {
    trace.disable();
    metrics.disable();
  });
  await acquire(endpoint);
  t.deepEqual(
    spans().map(({ name }) => name),
    ["acquire token"],
  );
  t.is((await points())["managed_identity.acquire.duration"][0].count, 1);
});

test.serial(
  "a call that started before the subscription is not recorded, and calls work without a provider",
  async (t) => {
    const { tracerProvider, spans } = createProviders(t);
    const endpoint = await startEndpoint(t);
    const release = endpoint.hold();
    const pending = acquire(endpoint);
    await endpoint.waitForRequests(1);
    subscribeUntilEnd(t, { trace, tracerProvider });
    subscribeUntilEnd(t, { trace, metrics });
    release();
    t.truthy((await pending).accessToken);
    t.is(spansNamed(spans(), "acquire token").length, 0);
  },
);

test("invalid options are rejected with a TypeError that names them", (t) => {
  const invalid = [
    [undefined, /options must be an object/],
    [null, /options must be an object/],
    [{}, /need "trace" or "metrics"/],
    [{ context }, /need "trace" or "metrics"/],
    [{ trace: metrics }, /"trace" must be "trace" of @opentelemetry\/api/],
    [{ trace, metrics: {} }, /"metrics" must be/],
    [{ trace, meterProvider: trace }, /"meterProvider" must be a meterProvider/],
    [{ trace, context: 1 }, /"context" must be/],
  ];
  for (const [options, message] of invalid) {
    t.throws(() => subscribe(options), { instanceOf: TypeError, message }, JSON.stringify(message.source));
  }
});

test("importing it loads neither the add-on nor another package", async (t) => {
  const program = async ({ require, report }) => {
    const before = new Set(Object.keys(require.cache));
    require("managed-identity-native/opentelemetry");
    const loaded = Object.keys(require.cache).filter((path) => !before.has(path));
    report(loaded.map((path) => require("node:path").basename(path)));
    report(Object.keys(await import("managed-identity-native/opentelemetry")));
  };
  const [loaded, names] = await runProcess(t, program);
  t.deepEqual(loaded, ["opentelemetry.js"]);
  t.true(names.includes("subscribe"));
});

test("examples/opentelemetry: every call and request is a span and is counted", async (t) => {
  const program = fileURLToPath(new URL("../examples/opentelemetry/run.mjs", import.meta.url));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program], {
    env: environmentWith(),
  });
  t.is(stderr, "");
  const lines = stdout.trim().split("\n");
  const spans = lines.filter((line) => /^(ok|failed) /.test(line)).map((line) => line.split("{")[0].trim());
  t.deepEqual(spans, [
    "failed GET",
    "ok     GET",
    "ok     acquire token",
    "ok     acquire token",
    "failed GET",
    "failed acquire token",
  ]);
  t.is(lines.filter((line) => line.startsWith("http.client.request.duration ")).length, 3);
  t.false(stdout.includes("eyJ"), "a token");
});
