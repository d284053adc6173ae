// `loggerOptions`: lines have the format of msal-node, and a failing callback does not affect an acquisition.

import { createRequire } from "node:module";
import test from "ava";
import { startProcess, startWorker } from "./support/child-program.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, LogLevel, version } = require("managed-identity-native");

const LINE =
  /^\[(\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT)\] : \[([^\]]*)\] : managed-identity-native@(\S+) : (\w+) - .+/;

function createLoggingApplication(logLevel, loggerCallback) {
  return new ManagedIdentityApplication({
    system: { disableInternalRetries: true, loggerOptions: { logLevel, loggerCallback } },
  });
}

test.serial("lines have the format of msal-node and are delivered before the promise settles", async (t) => {
  const endpoint = await startEndpoint(t);
  const lines = [];
  const application = createLoggingApplication(LogLevel.Trace, (...line) => lines.push(line));
  const { correlationId } = await acquire(endpoint, `${RESOURCE}/format`, application);
  t.true(lines.length > 0);
  for (const [level, line, containsPii] of lines) {
    const [, stamp, id, lineVersion, name] = line.match(LINE) ?? [];
    t.is(name, LogLevel[level], line);
    t.is(id, correlationId);
    t.is(lineVersion, version);
    t.is(new Date(stamp).toUTCString(), stamp);
    t.false(containsPii);
  }
});

test.serial("only lines up to the log level are delivered, Info by default", async (t) => {
  const endpoint = await startEndpoint(t);
  const levels = async (logLevel, resource) => {
    const seen = new Set();
    const application = createLoggingApplication(logLevel, (level) => seen.add(level));
    endpoint.next({ status: 400, body: { statusCode: 400, message: "no" } });
    await t.throwsAsync(() => acquire(endpoint, resource, application));
    return [...seen].sort();
  };
  t.deepEqual(await levels(LogLevel.Error, `${RESOURCE}/error`), [LogLevel.Error]);
  t.deepEqual(await levels(undefined, `${RESOURCE}/default`), [LogLevel.Error, LogLevel.Info]);
});

test.serial(
  "a callback that throws, rejects or returns an unusable value does not affect the call",
  async (t) => {
    const endpoint = await startEndpoint(t);
    const callbacks = [
      () => {
        throw new Error("logger");
      },
      async () => {
        throw new Error("logger");
      },
      () => Promise.reject(undefined),
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: a caller could return such an object.
        get then() {
          throw new Error("then");
        },
      }),
      () => null,
    ];
    for (const [index, callback] of callbacks.entries()) {
      let calls = 0;
      const application = createLoggingApplication(LogLevel.Trace, (...line) => {
        calls += 1;
        return callback(...line);
      });
      t.false((await acquire(endpoint, `${RESOURCE}/throws/${index}`, application)).fromCache);
      t.true(calls > 0);
    }
  },
);

test.serial("no line contains a secret or a token", async (t) => {
  const endpoint = await startEndpoint(t);
  const lines = [];
  const application = createLoggingApplication(LogLevel.Trace, (_, line) => lines.push(line));
  const { accessToken } = await acquire(endpoint, `${RESOURCE}/quiet`, application);
  endpoint.next({ status: 500, body: `echo ${endpoint.env.IDENTITY_HEADER} ${accessToken}` });
  await t.throwsAsync(() =>
    acquire(endpoint, { resource: `${RESOURCE}/quiet`, forceRefresh: true }, application),
  );
  const text = lines.join("\n");
  t.regex(text, /echo/);
  t.false(text.includes(endpoint.env.IDENTITY_HEADER));
  t.false(text.includes(accessToken));
});

test.serial("each application has its own logger", async (t) => {
  const endpoint = await startEndpoint(t);
  const [first, second] = [[], []];
  const one = createLoggingApplication(LogLevel.Info, (_, line) => first.push(line));
  const other = createLoggingApplication(LogLevel.Info, (_, line) => second.push(line));
  await acquire(endpoint, `${RESOURCE}/one`, one);
  t.is(second.length, 0);
  const before = first.length;
  await acquire(endpoint, `${RESOURCE}/other`, other);
  t.is(first.length, before);
  t.true(second.length > 0);
});

test.serial("the logger of a terminated worker is not called", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const worker = startWorker(
    t,
    ({ native, report }) => {
      const system = { loggerOptions: { logLevel: 4, loggerCallback: () => {} } };
      new native.ManagedIdentityApplication({ system })
        .acquireToken("https://vault.azure.net/ended")
        .catch(() => {});
      report("started");
    },
    { env: endpoint.env },
  );
  await worker.next();
  await endpoint.waitForRequests(1);
  const token = acquire(endpoint, `${RESOURCE}/ended`);
  await worker.worker.terminate();
  release();
  t.false((await token).fromCache);
  t.is(endpoint.requests.length, 1);
});

test.serial("a logger does not keep the process alive", async (t) => {
  const endpoint = await startEndpoint(t);
  const program = startProcess(
    t,
    async ({ native, report }) => {
      const system = { loggerOptions: { logLevel: 4, loggerCallback: () => {} } };
      await new native.ManagedIdentityApplication({ system }).acquireToken("https://vault.azure.net");
      report("done");
    },
    { env: endpoint.env },
  );
  const { code, reports } = await program.ended;
  t.is(code, 0);
  t.deepEqual(reports, ["done"]);
});
