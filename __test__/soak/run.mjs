// Mixed operations without end, and what is left of them: `node --expose-gc __test__/soak/run.mjs [count] [warm-up]`.
// The endpoint has a process of its own. Exits with 1 if descriptors or handles have grown, or, where the run is long
// enough to tell, memory by more than a few MB.

import { fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { getHeapSpaceStatistics } from "node:v8";

const { ManagedIdentityApplication } = createRequire(import.meta.url)("managed-identity-native");

const count = Number(process.argv[2] ?? 100_000);
const warmUp = Number(process.argv[3] ?? 30_000);
const LANES = 32;
/** What the allocators of JavaScript and of the add-on may still be about to settle on. */
const MEMORY_LIMIT = 8 * 2 ** 20;
const LONG = 50_000;

const endpoint = fork(fileURLToPath(new URL("endpoint.mjs", import.meta.url)));
const [{ env }] = await once(endpoint, "message");
Object.assign(process.env, env);

const application = new ManagedIdentityApplication({ system: { disableInternalRetries: true } });
const resource = (number) => `https://${number % 20}.example`;

/** One of each; every one must end as it should. */
const operations = [
  async (number) => (await application.acquireToken(resource(number))).accessToken,
  async (number) =>
    (await application.acquireToken({ resource: resource(number), forceRefresh: true })).accessToken,
  (number) => {
    const controller = new AbortController();
    const request = { resource: resource(number), forceRefresh: true, abortSignal: controller.signal };
    const call = application.acquireToken(request);
    controller.abort(new Error("aborted"));
    return failing(call, (error) => error.message === "aborted");
  },
  () => failing(application.acquireToken("https://refused.example"), ({ statusCode }) => statusCode === 400),
  () =>
    failing(
      application.acquireToken({ resource: "https://silent.example", timeout: 1 }),
      ({ errorCode }) => errorCode === "network_unavailable",
    ),
  () => failing(application.acquireToken("nonsense"), ({ errorCode }) => errorCode === "invalid_resource"),
  async (number) => (await application.getToken(`${resource(number)}/.default`)).token,
];

async function failing(call, isExpected) {
  const outcome = await call.catch((error) => error);
  return isExpected(outcome);
}

async function run(from, to) {
  let next = from;
  const lane = async () => {
    while (next < to) {
      const number = next;
      next += 1;
      if (!(await operations[number % operations.length](number)))
        throw new Error(`operation ${number} failed`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

/** What the process holds, once the endpoint has let go of every connection. */
async function holdings() {
  endpoint.send("close connections");
  await once(endpoint, "message");
  for (let turn = 0; turn < 10; turn += 1) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { rss, heapUsed } = process.memoryUsage();
  const descriptors = process.platform === "linux" ? readdirSync("/proc/self/fd").length : Number.NaN;
  return {
    rss,
    lasting: rss - young(),
    heapUsed,
    descriptors,
    handles: process.getActiveResourcesInfo().length,
  };
}

/** Where V8 puts what is new: it has reserved 32 MB, and touches the last of them long after it was warmed up. */
function young() {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space").physical_space_size;
}

await run(0, warmUp);
const before = await holdings();
await run(warmUp, warmUp + count);
const after = await holdings();
endpoint.disconnect();

const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MB`;
console.log(`${count} operations after ${warmUp}`);
console.log(`RSS         ${megabytes(before.rss)} -> ${megabytes(after.rss)}`);
console.log(`but new     ${megabytes(before.lasting)} -> ${megabytes(after.lasting)}`);
console.log(`heap        ${megabytes(before.heapUsed)} -> ${megabytes(after.heapUsed)}`);
console.log(`descriptors ${before.descriptors} -> ${after.descriptors}`);
console.log(`handles     ${before.handles} -> ${after.handles}`);
const grown =
  after.descriptors > before.descriptors + LANES || // Connections that are kept alive are no leak.
  after.handles > before.handles ||
  (count >= LONG && after.lasting - before.lasting > MEMORY_LIMIT);
process.exitCode = grown ? 1 : 0;
