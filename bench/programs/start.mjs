// Cold start with `import`: from before the package is loaded to the first token. The program loads nothing else before
// and shares no file with start.cjs, so that no work is done before the measurement.

import { readFileSync } from "node:fs";

const { name, className, method, request } = JSON.parse(process.argv[2]);
const highest = () => Number(/VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "latin1"))?.[1]) * 1024;
const rssBefore = process.memoryUsage.rss();
const highestBefore = process.platform === "linux" ? highest() : Number.NaN;
const started = process.hrtime.bigint();
const sinceStart = () => Number(process.hrtime.bigint() - started) / 1e6;

const exported = await import(name);
const loadMs = sinceStart();
const result = await new exported[className]()[method](request);
const tokenMs = sinceStart();
const rss = process.memoryUsage.rss() - rssBefore;
const hwm = process.platform === "linux" ? highest() - highestBefore : Number.NaN;
if ((result.accessToken ?? result.token).length !== 1_500) throw new Error("no token");
console.log(JSON.stringify({ values: { loadMs, tokenMs, rss, hwm }, requests: 1 }));
