// Repeats mixed operations and checks for leaks: `node --expose-gc __test__/soak/run.mjs [count] [warm-up]`. The
// endpoint runs in a child process. Exits with 1 if descriptors or handles have grown, or, in long runs, memory by more
// than a few MB.

import { fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { getHeapSpaceStatistics } from "node:v8";
import { has } from "../support/capabilities.mjs";
import { runConcurrently } from "./concurrency.mjs";

const { ManagedIdentityApplication } = createRequire(import.meta.url)("managed-identity-native");

const count = Number(process.argv[2] ?? 100_000);
const warmUp = Number(process.argv[3] ?? 30_000);
const CONCURRENCY = 32;
/** How much the allocators of JavaScript and of the add-on may still grow. */
const MEMORY_LIMIT = 8 * 2 ** 20;
const LONG = 50_000;

const endpoint = fork(fileURLToPath(new URL("endpoint.mjs", import.meta.url)));
const [{ env }] = await once(endpoint, "message");
Object.assign(process.env, env);

const application = new ManagedIdentityApplication({ system: { disableInternalRetries: true } });
const resource = (number) => `https://${number % 20}.example`;

/** One of each kind; each must have the expected result. */
const operations = [
  async (number) => (await application.acquireToken(resource(number))).accessToken,
  async (number) =>
    (await application.acquireToken({ resource: resource(number), forceRefresh: true })).accessToken,
  (number) => {
    const controller = new AbortController();
    const request = { resource: resource(number), forceRefresh: true, abortSignal: controller.signal };
    const call = application.acquireToken(request);
    controller.abort(new Error("aborted"));
    return failsWith(call, (error) => error.message === "aborted");
  },
  () =>
    failsWith(application.acquireToken("https://rejected.example"), ({ statusCode }) => statusCode === 400),
  () =>
    failsWith(
      application.acquireToken({ resource: "https://unresponsive.example", timeout: 1 }),
      ({ errorCode }) => errorCode === "network_unavailable",
    ),
  () => failsWith(application.acquireToken("nonsense"), ({ errorCode }) => errorCode === "invalid_resource"),
  async (number) => (await application.getToken(`${resource(number)}/.default`)).token,
];

async function failsWith(call, isExpected) {
  const outcome = await call.catch((error) => error);
  return isExpected(outcome);
}

function run(from, to) {
  return runConcurrently(from, to, CONCURRENCY, async (number) => {
    if (!(await operations[number % operations.length](number)))
      throw new Error(`operation ${number} failed`);
  });
}

/** The resources of the process, after the endpoint has closed every connection. */
async function measureResources() {
  endpoint.send("close connections");
  await once(endpoint, "message");
  for (let turn = 0; turn < 10; turn += 1) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { rss, heapUsed } = process.memoryUsage();
  const descriptors = has("/proc") ? readdirSync("/proc/self/fd").length : Number.NaN;
  return {
    rss,
    rssWithoutNewSpace: rss - newSpaceSize(),
    heapUsed,
    descriptors,
    handles: process.getActiveResourcesInfo().length,
  };
}

/** The size of V8's new space, which reserves 32 MB and may grow long after the warm-up. */
function newSpaceSize() {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space").physical_space_size;
}

await run(0, warmUp);
const before = await measureResources();
await run(warmUp, warmUp + count);
const after = await measureResources();
endpoint.disconnect();

const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MB`;
console.log(`${count} operations after ${warmUp}`);
console.log(`RSS         ${megabytes(before.rss)} -> ${megabytes(after.rss)}`);
console.log(`w/o new   ${megabytes(before.rssWithoutNewSpace)} -> ${megabytes(after.rssWithoutNewSpace)}`);
console.log(`heap        ${megabytes(before.heapUsed)} -> ${megabytes(after.heapUsed)}`);
console.log(`descriptors ${before.descriptors} -> ${after.descriptors}`);
console.log(`handles     ${before.handles} -> ${after.handles}`);
const grown =
  after.descriptors > before.descriptors + CONCURRENCY || // Connections that are kept alive are not a leak.
  after.handles > before.handles ||
  (count >= LONG && after.rssWithoutNewSpace - before.rssWithoutNewSpace > MEMORY_LIMIT);
process.exitCode = grown ? 1 : 0;
