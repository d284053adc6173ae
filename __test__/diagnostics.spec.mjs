// The channels of node:diagnostics_channel, and the type of onBackgroundTokenRefresh. The tests run in child processes,
// because channels belong to the process. wall-clock.spec.mjs covers background refreshes, which require a clock that
// moves.

import { createRequire } from "node:module";
import { inspect } from "node:util";
import test from "ava";
import { runProcess } from "./support/child-program.mjs";
import { startEndpoint } from "./support/endpoint.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

/**
 * Records every message of every channel when it is published. The subscription is made before the package is loaded,
 * or after it if `late` is set.
 */
async function observe({ argument, require, report, ...program }) {
  const { channel } = require("node:diagnostics_channel");
  const messages = [];
  const subscribe = () => {
    for (const name of ["acquire:start", "acquire:end", "request", "retry", "refresh"]) {
      channel(`managed-identity-native:${name}`).subscribe((message) => {
        if (argument.throws) throw new Error("subscriber failure");
        messages.push({ name, message, text: JSON.stringify(message) });
      });
    }
  };
  if (argument.throws) process.on("uncaughtException", () => {});
  if (!argument.late) subscribe();
  const { ManagedIdentityApplication } = program.native;
  const application = new ManagedIdentityApplication(argument.configuration);
  if (argument.late) {
    await application.acquireToken("https://before.example");
    subscribe();
  }
  const tokens = [];
  for (const { method = "acquireToken", request } of argument.calls) {
    const outcome = await application[method](request).catch((error) => error);
    tokens.push(outcome.accessToken ?? outcome.token);
  }
  // Events of native code are delivered through the event loop: wait for the expected number.
  while (!argument.throws && messages.length < argument.messages)
    await new Promise((resolve) => setImmediate(resolve));
  const starts = messages.filter(({ name }) => name === "acquire:start").map(({ message }) => message);
  const ends = messages.filter(({ name }) => name === "acquire:end").map(({ message }) => message);
  report({
    messages: messages.map(({ name, text }) => ({ name, ...JSON.parse(text) })),
    same: starts.every((message, index) => message === ends[index]),
    leaks: tokens.filter((token) => token && messages.some(({ text }) => text.includes(token))).length,
    inspected: tokens.filter(
      (token) => token && require("node:util").inspect(messages, { depth: 9 }).includes(token),
    ).length,
    tokens: tokens.filter(Boolean).length,
  });
}

const VAULT = "https://vault.azure.net";

function run(t, endpoint, argument) {
  return runProcess(t, observe, { argument: { configuration: {}, ...argument }, env: endpoint.env });
}

for (const late of [false, true]) {
  test(`a new token and a memoized token are published to subscribers that subscribe ${late ? "after" : "before"} loading the package`, async (t) => {
    const endpoint = await startEndpoint(t);
    const calls = [{ request: VAULT }, { request: VAULT }];
    const [{ messages, same, leaks, inspected, tokens }] = await run(t, endpoint, {
      calls,
      late,
      messages: 5,
    });
    t.true(same);
    t.deepEqual([tokens, leaks, inspected], [2, 0, 0]);
    const request = messages.find(({ name }) => name === "request");
    t.deepEqual(
      messages.map(({ name }) => name),
      ["acquire:start", "request", "acquire:end", "acquire:start", "acquire:end"],
    );
    const [, first, , second] = messages.filter(({ name }) => name !== "request");
    t.is(first.resource, VAULT);
    t.false(first.fromCache);
    t.is(first.metadata.tokenSource, "IdentityProvider");
    t.true(second.fromCache);
    t.is(second.metadata.tokenSource, "Cache");
    t.is(request.correlationId, first.correlationId);
    t.like(request, {
      resource: VAULT,
      source: "AppService",
      endpoint: endpoint.env.IDENTITY_ENDPOINT,
      attempt: 1,
      statusCode: 200,
    });
    t.true(request.durationInMs > 0);
  });
}

test("a retry is published with its cause and delay", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next({ status: 503, body: "later" });
  const [{ messages }] = await run(t, endpoint, { calls: [{ request: VAULT }], messages: 5 });
  const retry = messages.find(({ name }) => name === "retry");
  t.like(retry, { attempt: 1, statusCode: 503, errorCode: "managed_identity_failed_response" });
  t.true(retry.waitInMs >= 1_000 && retry.waitInMs <= 1_200);
  t.deepEqual(
    messages.filter(({ name }) => name === "request").map(({ attempt, statusCode }) => [attempt, statusCode]),
    [
      [1, 503],
      [2, 200],
    ],
  );
});

test("a request without a response is published with its transport error, and a failed call with its error code", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ reset: true });
  const configuration = { system: { disableInternalRetries: true } };
  const [{ messages }] = await run(t, endpoint, { calls: [{ request: VAULT }], configuration, messages: 3 });
  const request = messages.find(({ name }) => name === "request");
  t.is(request.fault, "ECONNRESET");
  t.is(request.statusCode, undefined);
  const end = messages.find(({ name }) => name === "acquire:end");
  t.is(end.errorCode, "managed_identity_unreachable_network");
  t.is(end.metadata.attempts, 1);
});

for (const method of ["acquireToken", "getToken"]) {
  test(`${method}: messages of a failed call have the call's correlationId; the error has the service's`, async (t) => {
    const endpoint = await startEndpoint(t);
    endpoint.next([{ status: 503 }, { status: 400 }]);
    const [{ messages }] = await run(t, endpoint, { calls: [{ method, request: VAULT }], messages: 5 });
    const { correlationId, error } = messages.find(({ name }) => name === "acquire:end");
    const others = messages.filter(({ name }) => ["request", "retry"].includes(name));
    t.deepEqual(
      others.map((message) => [message.name, message.correlationId]),
      ["request", "retry", "request"].map((name) => [name, correlationId]),
    );
    t.regex(error.correlationId, /^[0-9a-f-]{36}$/);
    t.not(error.correlationId, correlationId);
  });
}

test("a call with invalid input publishes its start and end, but no request", async (t) => {
  const endpoint = await startEndpoint(t);
  const calls = [{ request: "nonsense" }, { request: { resource: VAULT, abortSignal: 5 } }];
  const [{ messages, same }] = await run(t, endpoint, { calls, messages: 4 });
  t.true(same);
  t.deepEqual(
    messages.map(({ name, errorCode }) => [name, errorCode]),
    [
      ["acquire:start", undefined],
      ["acquire:end", "invalid_resource"],
      ["acquire:start", undefined],
      ["acquire:end", "invalid_configuration"],
    ],
  );
});

test("getToken publishes the same messages", async (t) => {
  const endpoint = await startEndpoint(t);
  const calls = [1, 2].map(() => ({ method: "getToken", request: `${VAULT}/.default` }));
  const [{ messages, tokens, leaks, inspected }] = await run(t, endpoint, { calls, messages: 5 });
  t.deepEqual([tokens, leaks, inspected], [2, 0, 0]);
  const ends = messages.filter(({ name }) => name === "acquire:end");
  t.deepEqual(
    ends.map(({ fromCache }) => fromCache),
    [false, true],
  );
});

test("a subscriber that throws does not affect calls", async (t) => {
  const endpoint = await startEndpoint(t);
  const [{ tokens }] = await run(t, endpoint, {
    calls: [{ request: VAULT }, { request: VAULT }],
    throws: true,
  });
  t.is(tokens, 2);
});

test("without subscribers, native code does not emit events", async (t) => {
  const endpoint = await startEndpoint(t);
  const [count] = await runProcess(
    t,
    async ({ require, native, report }) => {
      const binding = require("./binding.cjs");
      const { observe } = binding.ManagedIdentityApplication.prototype;
      let observed = 0;
      binding.ManagedIdentityApplication.prototype.observe = function (...parameters) {
        observed += 1;
        return observe.apply(this, parameters);
      };
      const { channel } = require("node:diagnostics_channel");
      const application = new native.ManagedIdentityApplication();
      await application.acquireToken("https://a.example");
      report(observed);
      channel("managed-identity-native:request").subscribe(() => {});
      await application.acquireToken("https://b.example");
      await application.acquireToken("https://c.example");
      report(observed);
    },
    { env: endpoint.env },
  ).then((reports) => [reports]);
  t.deepEqual(count, [0, 1]);
});

test("onBackgroundTokenRefresh must be a function", (t) => {
  for (const onBackgroundTokenRefresh of ["x", 5, {}, true]) {
    const error = t.throws(() => new ManagedIdentityApplication({ system: { onBackgroundTokenRefresh } }));
    t.is(error.errorCode, "invalid_configuration");
    t.true(error.message.includes("system.onBackgroundTokenRefresh"), inspect(error));
  }
  for (const onBackgroundTokenRefresh of [undefined, null, () => {}]) {
    t.notThrows(() => new ManagedIdentityApplication({ system: { onBackgroundTokenRefresh } }));
  }
});
