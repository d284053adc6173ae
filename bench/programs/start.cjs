// Cold start with `require`: from before the package is loaded to the first token. The program loads nothing else
// before and shares no file with start.mjs, so that no work is done before the measurement.
"use strict";

const { readFileSync } = require("node:fs");

const { name, className, method, request } = JSON.parse(process.argv[2]);
const highest = () => Number(/VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "latin1"))?.[1]) * 1024;
const rssBefore = process.memoryUsage.rss();
const highestBefore = process.platform === "linux" ? highest() : Number.NaN;
const started = process.hrtime.bigint();
const sinceStart = () => Number(process.hrtime.bigint() - started) / 1e6;

const exported = require(name);
const loadMs = sinceStart();
new exported[className]()[method](request).then((result) => {
  const tokenMs = sinceStart();
  const rss = process.memoryUsage.rss() - rssBefore;
  const hwm = process.platform === "linux" ? highest() - highestBefore : Number.NaN;
  if ((result.accessToken ?? result.token).length !== 1_500) throw new Error("no token");
  console.log(JSON.stringify({ values: { loadMs, tokenMs, rss, hwm }, requests: 1 }));
});
