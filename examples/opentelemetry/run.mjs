// Prints the spans and metrics of three calls to the emulator: a retry, a cached token and a failure. A service would
// use its own exporters instead of those in memory.

import { metrics, trace } from "@opentelemetry/api";
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
import { ManagedIdentityApplication } from "managed-identity-native";
import { startEmulator } from "managed-identity-native/emulator";
import { subscribe } from "managed-identity-native/opentelemetry";

subscribe({ trace, metrics });

const exporter = new InMemorySpanExporter();
trace.setGlobalTracerProvider(
  new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
);
const metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter: metricExporter });
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));

const emulator = await startEmulator({ source: "app-service" });
Object.assign(process.env, emulator.env);
const app = new ManagedIdentityApplication();
emulator.next([{ status: 503 }, {}, { status: 400 }]);
await app.acquireToken("https://vault.azure.net");
await app.acquireToken("https://vault.azure.net");
await app.acquireToken("https://storage.azure.com").catch(() => {});
await ManagedIdentityApplication.flush(); // A script that ends here would lose the events of background refreshes.
await emulator.close();

for (const { name, attributes, status } of exporter.getFinishedSpans()) {
  console.log(`${status.code === 2 ? "failed" : "ok    "} ${name} ${JSON.stringify(attributes)}`);
}
await reader.forceFlush();
for (const { scopeMetrics } of metricExporter.getMetrics()) {
  for (const { descriptor, dataPoints } of scopeMetrics.flatMap((scope) => scope.metrics)) {
    for (const { attributes, value } of dataPoints) {
      console.log(`${descriptor.name} ${JSON.stringify(attributes)} ${value.count ?? value}`);
    }
  }
}
await reader.shutdown();
