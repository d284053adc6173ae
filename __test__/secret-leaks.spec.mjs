// No secret appears in an error, a log line or an event: header secrets, keys, assertions and tokens, even if the
// endpoint repeats them.

import { createRequire } from "node:module";
import { inspect } from "node:util";
import test from "ava";
import { arcDirectories } from "./support/arc-namespace.mjs";
import { neededBySource, testWith } from "./support/capabilities.mjs";
import { runProcess, startProcess } from "./support/child-program.mjs";
import { acquire, acquireWithoutRetries, NO_RETRIES, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { LogLevel, ManagedIdentityApplication } = require("managed-identity-native");

const SECRETS = {
  "app-service": (env) => [env.IDENTITY_HEADER],
  "machine-learning": (env) => [env.MSI_SECRET],
  "service-fabric": (env) => [env.IDENTITY_HEADER],
  "workload-identity": (_, endpoint) => [endpoint.requests[0].form.client_assertion],
};

/** Everything that is visible of an error. */
function inspectAll(error) {
  return [
    error.message,
    error.stack,
    String(error),
    inspect(error),
    inspect(error, { depth: 10, showHidden: true, getters: true, maxStringLength: null }),
    JSON.stringify(error),
    JSON.stringify(error, Object.getOwnPropertyNames(error)),
    ...Object.getOwnPropertyNames(error).map((name) => inspect(error[name], { depth: 10, showHidden: true })),
    inspect(error.cause, { depth: 10, showHidden: true }),
    String(error.cause?.stack),
  ].join("\n");
}

/** Shorter than the maximum length of quoted responses. */
const MIN_QUOTED = 200;

/** Asserts that `text` contains none of `secrets`, in any form or in a useful part. */
function assertHidden(t, text, secrets, message) {
  for (const secret of secrets) {
    t.true(typeof secret === "string" && secret.length > 8, "the test has a secret");
    const base64 = Buffer.from(secret).toString("base64").replace(/=+$/, "");
    const forms = [
      secret,
      encodeURIComponent(secret),
      escapeHtml(secret),
      base64,
      secret.split(".")[1] ?? secret,
      secret.slice(0, MIN_QUOTED), // Quoted responses are truncated: part of a token could remain.
    ];
    for (const form of forms) t.false(text.toLowerCase().includes(form.toLowerCase()), message);
  }
}

/** Replaces special characters by numeric HTML references. */
function escapeHtml(text) {
  return text.replace(/[&<>"'/]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Options for verbose logging, and the lines that are logged. */
function verboseLogger() {
  const lines = [];
  const loggerCallback = (_, line) => lines.push(line);
  return { lines, loggerOptions: { loggerCallback, logLevel: LogLevel.Trace, piiLoggingEnabled: true } };
}

/** Bodies that repeat the headers and the body of a request. */
const ECHOES = {
  "in the description of an IMDS error": (bodies) => ({ error: "denied", error_description: bodies }),
  "in the description of an App Service error": (bodies) => ({ statusCode: 400, message: bodies }),
  "in the description of a nested error": (bodies) => ({ error: { code: "denied", message: bodies } }),
  "as the code": (_, secret) => ({ error: secret, error_description: "x" }),
  "as a nested code": (_, secret) => ({ error: { code: secret, message: "x" } }),
  "as ids": (_, secret) => ({ error: "denied", correlation_id: secret, trace_id: secret }),
  "as plain text": (bodies) => bodies,
  "as HTML": (bodies) => `<html><pre>${bodies}</pre></html>`,
  "in lower case": (bodies) => bodies.toLowerCase(),
  "percent-encoded": (bodies) => ({ error: "denied", error_description: encodeURIComponent(bodies) }),
  "as a form": (bodies) => new URLSearchParams({ bodies }).toString(),
  "as escaped HTML": (bodies) =>
    bodies.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("'", "&#39;"),
  "as JSON in JSON": (bodies) => ({
    error: "denied",
    error_description: JSON.stringify(JSON.stringify(bodies)),
  }),
  "in base64": (_, secret) => ({ message: Buffer.from(secret).toString("base64") }),
  "in base64url, with a prefix": (_, secret) => Buffer.from(`x:${secret}:y`).toString("base64url"),
  "split by a line break": (_, secret) => `the secret is ${secret.slice(0, 9)}\r\n${secret.slice(9)}`,
  "at the end of the quoted part": (_, secret) => "x".repeat(500 - (secret.length >> 1)) + secret,
};

for (const [source, secretsOf] of Object.entries(SECRETS)) {
  for (const [name, echo] of Object.entries(ECHOES)) {
    for (const status of [400, 200]) {
      testWith(test, ...neededBySource(source))(
        `${source} repeats its secret ${name}, with ${status}: it is redacted`,
        async (t) => {
          const endpoint = await startEndpoint(t, source);
          endpoint.always({
            status,
            body: (_, request) => {
              const [secret] = secretsOf(endpoint.env, endpoint);
              const bodies = `headers ${JSON.stringify(request.headers)} body ${request.body}`;
              return echo(bodies, secret);
            },
          });
          const { lines, loggerOptions } = verboseLogger();
          // All these tests start at once, and their endpoints generate keys, while the machine may be busy.
          const system = { loggerOptions, connectTimeout: 20_000, requestTimeout: 20_000 };
          const error = await expectError(t, acquireWithoutRetries(endpoint, RESOURCE, { system }));
          while (lines.length < 2) await new Promise((resolve) => setImmediate(resolve));
          t.is(error.statusCode, status);
          assertHidden(t, inspectAll(error) + lines.join("\n"), secretsOf(endpoint.env, endpoint), name);
        },
      );
    }
  }
}

/** Makes calls as requested, and reports everything that a process can observe except the results. */
async function observeEverything({ require, argument, report, ...program }) {
  const { channel } = require("node:diagnostics_channel");
  const { inspect } = require("node:util");
  const observed = { channels: {}, lines: [], metadata: [], failures: [], warnings: [] };
  const warned = new Promise((resolve) => {
    process.on("warning", (warning) => {
      observed.warnings.push(warning);
      if (warning.message === "the last") resolve();
    });
  });
  for (const name of ["acquire:start", "acquire:end", "request", "retry"]) {
    observed.channels[name] = [];
    channel(`managed-identity-native:${name}`).subscribe((message) => observed.channels[name].push(message));
  }
  const { LogLevel, ManagedIdentityApplication } = program.native;
  const loggerCallback = (level, line, containsPii) => observed.lines.push({ level, line, containsPii });
  const system = {
    loggerOptions: { loggerCallback, logLevel: LogLevel.Trace, piiLoggingEnabled: true },
    disableInternalRetries: true,
    // The machine may be busy with the keys of other endpoints.
    connectTimeout: 20_000,
    requestTimeout: 20_000,
  };
  const application = new ManagedIdentityApplication({ system });
  const call = async (method, ...parameters) => {
    const outcome = await application[method](...parameters).catch((error) => error);
    if (outcome instanceof Error) observed.failures.push(outcome);
    observed.metadata.push(outcome?.metadata);
  };
  for (let count = 0; count < argument.calls; count += 1) {
    await call("acquireToken", { resource: "https://vault.azure.net", forceRefresh: true });
  }
  await call("getToken", "https://vault.azure.net/.default");
  await call("acquireToken", { resource: "https://vault.azure.net", claims: '{"access_token":{}}' });
  await call("isAvailable");
  await call("getManagedIdentitySourceAsync");
  process.emitWarning("the last");
  await warned;
  // Events of native code are delivered through the event loop: wait for each request's event.
  while (observed.channels.request.length < argument.calls + 1)
    await new Promise((resolve) => setImmediate(resolve));
  const deep = { depth: 12, showHidden: true, maxStringLength: null, maxArrayLength: null };
  report(
    Object.fromEntries(
      Object.entries({ ...observed, ...observed.channels, channels: observed.channels }).map(
        ([observer, all]) => [
          observer,
          { count: Object.keys(all).length, text: `${inspect(all, deep)} ${JSON.stringify(all)}` },
        ],
      ),
    ),
  );
}

for (const source of [...Object.keys(SECRETS), "imds", "cloud-shell"]) {
  testWith(test, ...neededBySource(source))(
    `${source}: channels, metadata, logs, warnings and stderr contain no secret or token`,
    async (t) => {
      const endpoint = await startEndpoint(t, source);
      const tokens = [];
      const secretOf = ({ headers, form }) =>
        form?.client_assertion ?? headers["x-identity-header"] ?? headers.secret ?? "";
      const tokenFirst = (original, request) =>
        `${original.access_token ?? tokens.at(-1)} ${secretOf(request)}`;
      const secretFirst = (original, request) =>
        `${secretOf(request)} ${original.access_token ?? tokens.at(-1)}`;
      const recordToken = (createBody) => (original, request) => {
        if (original.access_token) tokens.push(original.access_token);
        return createBody(original, request);
      };
      const bodies = [tokenFirst, secretFirst].flatMap((bodies) => [
        (...parameters) => ({ error: "denied", error_description: bodies(...parameters) }),
        (...parameters) => ({ error: { code: "denied", message: bodies(...parameters) } }),
        (...parameters) => ({ statusCode: 400, message: bodies(...parameters) }),
        bodies,
      ]);
      endpoint.next([
        ...bodies.flatMap((createBody) =>
          [400, 200].map((status) => ({ status, body: recordToken(createBody) })),
        ),
        ...Array.from({ length: 3 }, () => ({ body: recordToken((original) => original) })),
      ]);
      const calls = 2 * bodies.length + 1;
      const { code, stderr, reports } = await startProcess(t, observeEverything, {
        argument: { calls },
        env: endpoint.env,
      }).ended;
      t.is(code, 0, stderr);
      const [observed] = reports;
      t.true(tokens.length >= calls);
      const secrets = [...tokens, ...(SECRETS[source]?.(endpoint.env, endpoint) ?? [])];
      t.is(observed.failures.count, calls - 1);
      t.is(observed["acquire:start"].count, calls + 2);
      t.is(observed["acquire:end"].count, calls + 2);
      t.is(observed.warnings.count, 1);
      t.true(observed.lines.count > calls && observed.metadata.text.includes("tokenEndpoint"));
      for (const [observer, { text }] of Object.entries(observed)) assertHidden(t, text, secrets, observer);
      t.is(stderr.replace(/^.*Warning: the last\n.*\n/, ""), "");
    },
  );
}

test("a token in an error response is redacted", async (t) => {
  for (const body of [
    (original) => ({ error: "denied", error_description: `your token was ${original.access_token}` }),
    (original) => ({ message: `token=${original.access_token}` }),
    (original) => `token=${original.access_token}`,
    (original) => ({ error: original.access_token }),
    (original) => ({ error: "denied", ...original }),
    (original) => JSON.stringify(original).slice(0, -1),
    (original) => `<html>${original.access_token}`,
  ]) {
    const endpoint = await startEndpoint(t, "imds");
    const granted = [];
    for (const status of [200, 400]) {
      endpoint.next({
        status,
        body: (original) => {
          granted.push(original.access_token);
          return body(original);
        },
      });
      const error = await expectError(t, acquireWithoutRetries(endpoint), undefined, String(body));
      assertHidden(t, inspectAll(error), granted, String(body));
    }
  }
});

test("an opaque token in an error response is redacted", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  const token = "opaque-0123456789-abcdefghij";
  for (const body of [
    { access_token: token, error: "denied" },
    { access_token: token, expires_on: 1_700_000_000 },
    token,
    `{"access_token": "${token}"`,
  ]) {
    endpoint.next({ status: 200, body });
    assertHidden(
      t,
      inspectAll(await expectError(t, acquireWithoutRetries(endpoint))),
      [token],
      JSON.stringify(body),
    );
  }
});

const FAULTS = [
  { drop: "before" },
  { drop: "body" },
  { reset: true },
  { delay: 60_000 },
  { body: "x".repeat(2_000_000) },
  { status: 302, headers: { Location: "https://elsewhere.example" } },
];

for (const source of Object.keys(SECRETS)) {
  testWith(test, ...neededBySource(source))(
    `${source}: transport errors and timeouts contain no secret`,
    async (t) => {
      await Promise.all(
        FAULTS.map(async (fault) => {
          const endpoint = await startEndpoint(t, source);
          endpoint.always(fault);
          // The call that gets no response waits for its timeout, before which its request must arrive on a busy machine.
          const timeout = fault.delay === undefined ? 60_000 : 10_000;
          const call = acquireWithoutRetries(endpoint, { resource: RESOURCE, timeout });
          const error = await expectError(t, call);
          await endpoint.waitForRequests(1);
          assertHidden(t, inspectAll(error), SECRETS[source](endpoint.env, endpoint), source);
        }),
      );
    },
  );
}

test("errors about the environment contain no secret", async (t) => {
  const secret = "hush-hush-hush";
  const proxy = { HTTPS_PROXY: `http://user:${secret}@127.0.0.1:1` };
  const endpoint = await startEndpoint(t, "workload-identity");
  for (const env of [
    { IDENTITY_ENDPOINT: `http://user:${secret}@127.0.0.1`, IDENTITY_HEADER: "x" },
    { IDENTITY_ENDPOINT: "x", IDENTITY_HEADER: secret },
    { IDENTITY_ENDPOINT: "http://127.0.0.1:1", IDENTITY_HEADER: `${secret}\n` },
    { MSI_ENDPOINT: "http://127.0.0.1:1", MSI_SECRET: `${secret}\u0000` },
    { IDENTITY_ENDPOINT: "https://127.0.0.1:1", IDENTITY_HEADER: secret, IDENTITY_SERVER_THUMBPRINT: secret },
    { ...endpoint.env, ...proxy },
    { ...endpoint.env, HTTPS_PROXY: `http://user:${secret}@` },
    { ...endpoint.env, HTTPS_PROXY: `nonsense ${secret}` },
    { ...endpoint.env, AZURE_AUTHORITY_HOST: `https://user:${secret}@127.0.0.1:1` },
    { ...endpoint.env, AZURE_TENANT_ID: `${secret}/` },
  ]) {
    const error = await expectError(
      t,
      withEnvironment(env, () => new ManagedIdentityApplication(NO_RETRIES).acquireToken(RESOURCE)),
    );
    assertHidden(t, inspectAll(error), [secret], JSON.stringify(env));
  }
});

test("errors about options do not contain invalid values", (t) => {
  for (const configuration of [
    { clientCapabilities: "hush-hush-hush" },
    { managedIdentityIdParams: "hush-hush-hush" },
    { system: { totalTimeout: "hush-hush-hush" } },
  ]) {
    const error = t.throws(() => new ManagedIdentityApplication(configuration));
    assertHidden(t, inspectAll(error), ["hush-hush-hush"]);
  }
});

test("inspecting an application shows no token or secret", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const { accessToken } = await acquire(endpoint, RESOURCE, application);
  const visible = inspect(application, { depth: 10, showHidden: true }) + JSON.stringify(application);
  assertHidden(t, visible, [accessToken, endpoint.env.IDENTITY_HEADER]);
});

testWith(test, "own directories of Azure Arc")(
  `Azure Arc's key is redacted however the agent repeats it`,
  async (t) => {
    const { command, env, keys } = arcDirectories(t);
    const reports = await runProcess(
      t,
      async ({ native, require, argument, report }) => {
        const { inspect } = require("node:util");
        const { startEmulator } = require("managed-identity-native/emulator");
        const endpoint = await startEmulator({ source: "azure-arc", tokensDirectory: argument });
        Object.assign(process.env, endpoint.env);
        const application = new native.ManagedIdentityApplication({
          system: { disableInternalRetries: true },
        });
        const echoes = [
          (bodies) => ({ error: "denied", error_description: bodies }),
          (bodies) => bodies,
          (_, key) => ({ error: { code: key, message: `<${key}>` } }),
          (_, key) => `Basic ${key}`,
          (_, key) => Buffer.from(key, "base64").toString("utf8") + key,
        ];
        for (const status of [400, 401, 200]) {
          for (const echo of echoes) {
            let key;
            endpoint.next([
              {},
              {
                status,
                body: (_, { headers }) => {
                  key = headers.authorization.slice("Basic ".length);
                  return echo(JSON.stringify(headers), key);
                },
              },
            ]);
            const error = await application.acquireToken("https://a").catch((reason) => reason);
            const visible =
              inspect(error, { depth: 10, showHidden: true, maxStringLength: null }) +
              JSON.stringify(error) +
              error.stack;
            report({ status: error.statusCode, hasKey: key.length > 20, visible: visible.includes(key) });
          }
        }
        await endpoint.close();
      },
      { argument: keys, command, env },
    );
    t.is(reports.length, 15);
    for (const { hasKey, visible } of reports) t.true(hasKey && !visible);
  },
);
