// Mixed calls to endpoints that misbehave at random, and to a good one beside them: `node __test__/soak/misbehaving.mjs
// [calls] [slack in ms] [seed]`. Prints its counts as JSON. Exits with 1, and prints the reasons to stderr, if a token
// belonged to another resource, a call to the good endpoint failed, a call exceeded its timeout, an error was not one
// of this package, or descriptors or threads leaked.

import { fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { has } from "../support/capabilities.mjs";
import { runConcurrently } from "./concurrency.mjs";
import { startProcessorWait } from "./processor-wait.mjs";
import { between, choose, randomFrom } from "./random.mjs";

const require = createRequire(import.meta.url);
const INDEX = require.resolve("managed-identity-native");
const { ManagedIdentityApplication, ManagedIdentityError } = require(INDEX);

const calls = Number(process.argv[2] ?? 20_000);
/** How long a call may take beyond 110 % of its timeout and the time of waiting for a processor, in ms. */
const slack = Number(process.argv[3] ?? 500);
const seed = Number(process.argv[4] ?? Date.now() % 2 ** 32);
const random = randomFrom(seed);

const CONCURRENCY = 96;
/** Several, because a 429 with Retry-After blocks one of them for a while. */
const MISBEHAVING_ENDPOINTS = 2;
const RESOURCES = 100;
/** The timeout of calls to the good endpoint, which the other endpoints must not delay. */
const GOOD_TIMEOUT = 5_000;
/** After this many calls, a worker thread is terminated with pending calls. */
const CALLS_PER_WORKER = 250;
/** Longer than the 4 s after which the package closes an idle connection. */
const REST_MS = 5_000;
const ABORTED = new Error("aborted by its caller");

const failures = [];
const counts = { tokens: 0, cached: 0, good: 0, aborted: 0, errors: {} };
/** In milliseconds. The overrun does not contain the time for which the process waited for a processor. */
const slowest = { overrun: 0, good: 0, processorWait: 0, eventLoop: 0 };

async function startEndpoints(count, isGood) {
  const file = fileURLToPath(new URL("misbehaving-endpoint.mjs", import.meta.url));
  const child = fork(file, [between(random, 0, 2 ** 31), count, isGood].map(String));
  const [envs] = await once(child, "message");
  return { child, envs, seen: null };
}

const applications = [
  { disableInternalRetries: true },
  { requestTimeout: 400, disableInternalRetries: true },
  { requestTimeout: 1_000, connectTimeout: 500 },
  {},
].map((system) => new ManagedIdentityApplication({ system: { totalTimeout: 2_000, ...system } }));

const pick = (values) => values[between(random, 0, values.length - 1)];

/** The kinds of calls, with their weights. */
const methods = [
  [20, (application, request) => application.acquireToken(request)],
  [60, (application, request) => application.acquireToken({ ...request, forceRefresh: true })],
  [
    8,
    (application, request) =>
      application.acquireToken({
        ...request,
        claims: `{"access_token":{"nbf":{"value":"${between(random, 1, 5)}"}}}`,
      }),
  ],
  [
    12,
    async (application, { resource, abortSignal, timeout }) => {
      const options = { abortSignal, requestOptions: { timeout } };
      const { token } = await application.getToken(`${resource}/.default`, options);
      return { accessToken: token };
    },
  ],
];

/** Makes a call and records every failure. */
async function call(number, { env, label, timeout, isGood }) {
  const resource = `https://${label}-${between(random, 1, RESOURCES)}.example`;
  const controller = new AbortController();
  const abortAfter = !isGood && random() < 0.3 ? between(random, 0, 200) : null;
  let limit = timeout;
  const abort = () => {
    limit = performance.now() - started;
    controller.abort(ABORTED);
  };
  const timer = abortAfter === null ? null : setTimeout(abort, abortAfter);
  Object.assign(process.env, env);
  const processorWait = startProcessorWait();
  const started = performance.now();
  const request = { resource, timeout, abortSignal: controller.signal };
  const method = choose(random, methods);
  const application = isGood ? applications.at(-1) : pick(applications);
  const fail = (reason) => failures.push(`call ${number} to ${label}: ${reason}`);
  try {
    const { accessToken, fromCache } = await method(application, request);
    counts.tokens += 1;
    if (fromCache) counts.cached += 1;
    if (isGood) counts.good += 1;
    if (accessToken !== `token for ${resource}`) fail(`requested ${resource}, got ${accessToken}`);
  } catch (error) {
    if (isGood) fail(`rejected: ${error}`);
    if (error === ABORTED) counts.aborted += 1;
    else if (error instanceof ManagedIdentityError) {
      counts.errors[error.errorCode] = (counts.errors[error.errorCode] ?? 0) + 1;
      if (error.message.includes("token for")) fail(`shows a token: ${error.message}`);
    } else fail(`an error of another kind: ${error?.stack ?? error}`);
  }
  clearTimeout(timer);
  const elapsed = performance.now() - started;
  const waited = processorWait();
  const overrun = elapsed - waited - limit * 1.1;
  slowest.overrun = Math.max(slowest.overrun, overrun);
  slowest.processorWait = Math.max(slowest.processorWait, waited);
  if (isGood) slowest.good = Math.max(slowest.good, elapsed);
  if (overrun > slack)
    fail(`took ${elapsed} ms, of which ${waited} ms without a processor, with a limit of ${limit} ms`);
}

/** Terminates a worker thread with pending calls. */
async function interruptWorker(env) {
  const code = `
    const { ManagedIdentityApplication } = require(${JSON.stringify(INDEX)});
    const application = new ManagedIdentityApplication();
    for (let index = 1; index <= 10; index += 1)
      application.acquireToken({ resource: "https://bad-0-" + index + ".example", forceRefresh: true, timeout: 2_000 })
        .catch(() => {});
    require("node:worker_threads").parentPort.postMessage("called");`;
  const worker = new Worker(code, { eval: true, env: { ...process.env, ...env } });
  await once(worker, "message");
  await delay(between(random, 0, 100));
  await worker.terminate();
}

function run(from, to) {
  return runConcurrently(from, to, CONCURRENCY, async (number) => {
    if (number % CALLS_PER_WORKER === CALLS_PER_WORKER - 1) await interruptWorker(misbehaving.envs[0]);
    const index = between(random, 0, MISBEHAVING_ENDPOINTS - 1);
    const target =
      random() < 0.25
        ? { env: good.envs[0], label: "good", timeout: GOOD_TIMEOUT, isGood: true }
        : { env: misbehaving.envs[index], label: `bad-${index}`, timeout: between(random, 200, 2_000) };
    await call(number, target);
  });
}

/** The numbers are null where the system does not tell them. */
const countResources = () =>
  has("/proc")
    ? { descriptors: readdirSync("/proc/self/fd").length, threads: readdirSync("/proc/self/task").length }
    : { descriptors: null, threads: null };

async function closeConnections() {
  for (const endpoint of [misbehaving, good]) {
    endpoint.child.send("close connections");
    [endpoint.seen] = await once(endpoint.child, "message");
  }
}

/** The descriptors and threads of the process, once they have not changed for `REST_MS`. */
async function restingState() {
  await closeConnections();
  let state = countResources();
  for (let since = performance.now(); performance.now() - since < REST_MS; ) {
    await delay(100);
    const now = countResources();
    if (now.descriptors === state.descriptors && now.threads === state.threads) continue;
    state = now;
    since = performance.now();
  }
  return state;
}

const misbehaving = await startEndpoints(MISBEHAVING_ENDPOINTS, 0);
const good = await startEndpoints(1, 1);
const warmUp = Math.ceil(calls / 4);
await run(0, warmUp);
const before = await restingState();
const started = performance.now();
const eventLoop = monitorEventLoopDelay({ resolution: 10 });
eventLoop.enable();
await run(warmUp, calls);
slowest.eventLoop = eventLoop.max / 1e6;
eventLoop.disable();
const seconds = (performance.now() - started) / 1_000;
const after = await restingState();
if (after.descriptors > before.descriptors)
  failures.push(`descriptors: ${before.descriptors} after the warm-up, ${after.descriptors} at the end`);
if (after.threads > before.threads)
  failures.push(`threads: ${before.threads} after the warm-up, ${after.threads} at the end`);
for (const { child } of [misbehaving, good]) child.disconnect();

console.log(
  JSON.stringify({ seed, calls, seconds, ...counts, slowest, before, after, ...misbehaving.seen }, null, 1),
);
if (failures.length > 0) {
  console.error(`seed ${seed}: ${failures.length} failures\n${failures.slice(0, 20).join("\n")}`);
  process.exitCode = 1;
}
