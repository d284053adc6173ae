// The channels of node:diagnostics_channel, and onBackgroundTokenRefresh's type. Each in a process of its own, since
// channels are the process's. What a refresh behind a caller tells is in wall-clock.spec.mjs, where a clock moves.

import { createRequire } from "node:module";
import { inspect } from "node:util";
import test from "ava";
import { startEndpoint } from "./support/endpoint.mjs";
import { runProcess } from "./support/program.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

/** Notes every message of every channel as it is when it comes, from before the package is loaded or from after. */
async function observe({ argument, require, report, ...program }) {
  const { channel } = require("node:diagnostics_channel");
  const notes = [];
  const subscribe = () => {
    for (const name of ["acquire:start", "acquire:end", "request", "retry", "refresh"]) {
      channel(`managed-identity-native:${name}`).subscribe((message) => {
        if (argument.throws) throw new Error("a subscriber that fails");
        notes.push({ name, message, text: JSON.stringify(message) });
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
  for (const { method = "acquireToken", ask } of argument.calls) {
    const outcome = await application[method](ask).catch((error) => error);
    tokens.push(outcome.accessToken ?? outcome.token);
  }
  // Native code's events come through the event loop: wait until as many have come as were asked for.
  while (!argument.throws && notes.length < argument.notes)
    await new Promise((resolve) => setImmediate(resolve));
  const starts = notes.filter(({ name }) => name === "acquire:start").map(({ message }) => message);
  const ends = notes.filter(({ name }) => name === "acquire:end").map(({ message }) => message);
  report({
    notes: notes.map(({ name, text }) => ({ name, ...JSON.parse(text) })),
    same: starts.every((message, index) => message === ends[index]),
    leaks: tokens.filter((token) => token && notes.some(({ text }) => text.includes(token))).length,
    shown: tokens.filter(
      (token) => token && require("node:util").inspect(notes, { depth: 9 }).includes(token),
    ).length,
    tokens: tokens.filter(Boolean).length,
  });
}

const VAULT = "https://vault.azure.net";

function run(t, endpoint, argument) {
  return runProcess(t, observe, { argument: { configuration: {}, ...argument }, env: endpoint.env });
}

for (const late of [false, true]) {
  test(`a new token and one from memory, to who subscribes ${late ? "later" : "first"}`, async (t) => {
    const endpoint = await startEndpoint(t);
    const calls = [{ ask: VAULT }, { ask: VAULT }];
    const [{ notes, same, leaks, shown, tokens }] = await run(t, endpoint, { calls, late, notes: 5 });
    t.true(same);
    t.deepEqual([tokens, leaks, shown], [2, 0, 0]);
    const request = notes.find(({ name }) => name === "request");
    t.deepEqual(
      notes.map(({ name }) => name),
      ["acquire:start", "request", "acquire:end", "acquire:start", "acquire:end"],
    );
    const [, first, , second] = notes.filter(({ name }) => name !== "request");
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

test("a retry tells what failed and how long it is waited", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next({ status: 503, body: "later" });
  const [{ notes }] = await run(t, endpoint, { calls: [{ ask: VAULT }], notes: 5 });
  const retry = notes.find(({ name }) => name === "retry");
  t.like(retry, { attempt: 1, statusCode: 503, errorCode: "managed_identity_failed_response" });
  t.true(retry.waitInMs >= 1_000 && retry.waitInMs <= 1_200);
  t.deepEqual(
    notes.filter(({ name }) => name === "request").map(({ attempt, statusCode }) => [attempt, statusCode]),
    [
      [1, 503],
      [2, 200],
    ],
  );
});

test("a request without an answer tells the fault, and a failure its code", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ reset: true });
  const configuration = { system: { disableInternalRetries: true } };
  const [{ notes }] = await run(t, endpoint, { calls: [{ ask: VAULT }], configuration, notes: 3 });
  const request = notes.find(({ name }) => name === "request");
  t.is(request.fault, "ECONNRESET");
  t.is(request.statusCode, undefined);
  const end = notes.find(({ name }) => name === "acquire:end");
  t.is(end.errorCode, "managed_identity_unreachable_network");
  t.is(end.metadata.attempts, 1);
});

for (const method of ["acquireToken", "getToken"]) {
  test(`a failure of ${method} has the call's id, by which its requests are found; the service's is the error's`, async (t) => {
    const endpoint = await startEndpoint(t);
    endpoint.next([{ status: 503 }, { status: 400 }]);
    const [{ notes }] = await run(t, endpoint, { calls: [{ method, ask: VAULT }], notes: 5 });
    const { correlationId, error } = notes.find(({ name }) => name === "acquire:end");
    const others = notes.filter(({ name }) => ["request", "retry"].includes(name));
    t.deepEqual(
      others.map((note) => [note.name, note.correlationId]),
      ["request", "retry", "request"].map((name) => [name, correlationId]),
    );
    t.regex(error.correlationId, /^[0-9a-f-]{36}$/);
    t.not(error.correlationId, correlationId);
  });
}

test("bad input ends what it started, and no request is told of", async (t) => {
  const endpoint = await startEndpoint(t);
  const calls = [{ ask: "nonsense" }, { ask: { resource: VAULT, abortSignal: 5 } }];
  const [{ notes, same }] = await run(t, endpoint, { calls, notes: 4 });
  t.true(same);
  t.deepEqual(
    notes.map(({ name, errorCode }) => [name, errorCode]),
    [
      ["acquire:start", undefined],
      ["acquire:end", "invalid_resource"],
      ["acquire:start", undefined],
      ["acquire:end", "invalid_configuration"],
    ],
  );
});

test("getToken is told of too", async (t) => {
  const endpoint = await startEndpoint(t);
  const calls = [1, 2].map(() => ({ method: "getToken", ask: `${VAULT}/.default` }));
  const [{ notes, tokens, leaks, shown }] = await run(t, endpoint, { calls, notes: 5 });
  t.deepEqual([tokens, leaks, shown], [2, 0, 0]);
  const ends = notes.filter(({ name }) => name === "acquire:end");
  t.deepEqual(
    ends.map(({ fromCache }) => fromCache),
    [false, true],
  );
});

test("a subscriber that throws harms no acquisition", async (t) => {
  const endpoint = await startEndpoint(t);
  const [{ tokens }] = await run(t, endpoint, { calls: [{ ask: VAULT }, { ask: VAULT }], throws: true });
  t.is(tokens, 2);
});

test("nobody subscribed, nothing crosses: native code has no observer", async (t) => {
  const endpoint = await startEndpoint(t);
  const [count] = await runProcess(
    t,
    async ({ require, native, report }) => {
      const binding = require("./binding.cjs");
      const { observe } = binding.ManagedIdentityApplication.prototype;
      let observed = 0;
      binding.ManagedIdentityApplication.prototype.observe = function (...given) {
        observed += 1;
        return observe.apply(this, given);
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
