// Nothing secret ever shows up in an error: not the header secrets, not a key, not an assertion, not a token,
// even when the endpoint sends all of it back.

import { createRequire } from "node:module";
import { inspect } from "node:util";
import test from "ava";
import { KEY_DIRECTORY, namespaceCommand, skipReason } from "./support/arc-namespace.mjs";
import { acquire, acquireWithoutRetries, NO_RETRIES, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { runProcess, startProcess } from "./support/program.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { LogLevel, ManagedIdentityApplication } = require("managed-identity-native");

const SECRETS = {
  "app-service": (env) => [env.IDENTITY_HEADER],
  "machine-learning": (env) => [env.MSI_SECRET],
  "service-fabric": (env) => [env.IDENTITY_HEADER],
  "workload-identity": (_, endpoint) => [endpoint.requests[0].form.client_assertion],
};

/** Everything that anybody could see of an error. */
function everything(error) {
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

/** Well below what is quoted of an endpoint's words. */
const QUOTED = 200;

/** Fails when one of `secrets`, or a part of one that could still be of use, is in `text`. */
function hides(t, text, secrets, message) {
  for (const secret of secrets) {
    t.true(typeof secret === "string" && secret.length > 8, "the test knows the secret");
    const base64 = Buffer.from(secret).toString("base64").replace(/=+$/, "");
    const forms = [
      secret,
      encodeURIComponent(secret),
      escaped(secret),
      base64,
      secret.split(".")[1] ?? secret,
      secret.slice(0, QUOTED), // The words of others are cut off: a token may have got through in part.
    ];
    for (const form of forms) t.false(text.toLowerCase().includes(form.toLowerCase()), message);
  }
}

/** A text with every character as HTML writes it by number. */
function escaped(text) {
  return text.replace(/[&<>"'/]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** A logger at its loudest, and the lines that it got. */
function loudest() {
  const lines = [];
  const loggerCallback = (_, line) => lines.push(line);
  return { lines, loggerOptions: { loggerCallback, logLevel: LogLevel.Trace, piiLoggingEnabled: true } };
}

/** The ways to send a request's headers and body back, each as a fault. */
const ECHOES = {
  "in the words of an IMDS error": (said) => ({ error: "denied", error_description: said }),
  "in the words of an App Service error": (said) => ({ statusCode: 400, message: said }),
  "in the words of a nested error": (said) => ({ error: { code: "denied", message: said } }),
  "as the code": (_, secret) => ({ error: secret, error_description: "x" }),
  "as a nested code": (_, secret) => ({ error: { code: secret, message: "x" } }),
  "as ids": (_, secret) => ({ error: "denied", correlation_id: secret, trace_id: secret }),
  "as plain text": (said) => said,
  "as HTML": (said) => `<html><pre>${said}</pre></html>`,
  "in lower case": (said) => said.toLowerCase(),
  "with percent signs": (said) => ({ error: "denied", error_description: encodeURIComponent(said) }),
  "as a form": (said) => new URLSearchParams({ said }).toString(),
  "as escaped HTML": (said) =>
    said.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("'", "&#39;"),
  "as JSON in JSON": (said) => ({ error: "denied", error_description: JSON.stringify(JSON.stringify(said)) }),
  "in base64": (_, secret) => ({ message: Buffer.from(secret).toString("base64") }),
  "in base64url, after something": (_, secret) => Buffer.from(`x:${secret}:y`).toString("base64url"),
  "broken by a line end": (_, secret) => `the secret is ${secret.slice(0, 9)}\r\n${secret.slice(9)}`,
  "at the end of the quoted words": (_, secret) => "x".repeat(500 - (secret.length >> 1)) + secret,
};

for (const [source, secretsOf] of Object.entries(SECRETS)) {
  for (const [name, echo] of Object.entries(ECHOES)) {
    for (const status of [400, 200]) {
      test(`${source} echoes ${name}, with ${status}`, async (t) => {
        const endpoint = await startEndpoint(t, source);
        endpoint.always({
          status,
          body: (_, request) => {
            const [secret] = secretsOf(endpoint.env, endpoint);
            const said = `headers ${JSON.stringify(request.headers)} body ${request.body}`;
            return echo(said, secret);
          },
        });
        const { lines, loggerOptions } = loudest();
        const error = await expectError(
          t,
          acquireWithoutRetries(endpoint, RESOURCE, { system: { loggerOptions } }),
        );
        while (lines.length < 2) await new Promise((resolve) => setImmediate(resolve));
        t.is(error.statusCode, status);
        hides(t, everything(error) + lines.join("\n"), secretsOf(endpoint.env, endpoint), name);
      });
    }
  }
}

/** Asks as it is told, and reports all that a process can hear of it but its callers' results. */
async function listenToEverything({ require, argument, report, ...program }) {
  const { channel } = require("node:diagnostics_channel");
  const { inspect } = require("node:util");
  const heard = { channels: {}, lines: [], metadata: [], failures: [], warnings: [] };
  const warned = new Promise((resolve) => {
    process.on("warning", (warning) => {
      heard.warnings.push(warning);
      if (warning.message === "the last") resolve();
    });
  });
  for (const name of ["acquire:start", "acquire:end", "request", "retry"]) {
    heard.channels[name] = [];
    channel(`managed-identity-native:${name}`).subscribe((message) => heard.channels[name].push(message));
  }
  const { LogLevel, ManagedIdentityApplication } = program.native;
  const loggerCallback = (level, line, containsPii) => heard.lines.push({ level, line, containsPii });
  const system = {
    loggerOptions: { loggerCallback, logLevel: LogLevel.Trace, piiLoggingEnabled: true },
    disableInternalRetries: true,
  };
  const application = new ManagedIdentityApplication({ system });
  const ask = async (method, ...given) => {
    const outcome = await application[method](...given).catch((error) => error);
    if (outcome instanceof Error) heard.failures.push(outcome);
    heard.metadata.push(outcome?.metadata);
  };
  for (let call = 0; call < argument.calls; call += 1) {
    await ask("acquireToken", { resource: "https://vault.azure.net", forceRefresh: true });
  }
  await ask("getToken", "https://vault.azure.net/.default");
  await ask("acquireToken", { resource: "https://vault.azure.net", claims: '{"access_token":{}}' });
  await ask("isAvailable");
  await ask("getManagedIdentitySourceAsync");
  process.emitWarning("the last");
  await warned;
  // Native code's events come through the event loop: each request is told of.
  while (heard.channels.request.length < argument.calls + 1)
    await new Promise((resolve) => setImmediate(resolve));
  const deep = { depth: 12, showHidden: true, maxStringLength: null, maxArrayLength: null };
  report(
    Object.fromEntries(
      Object.entries({ ...heard, ...heard.channels, channels: heard.channels }).map(([ear, all]) => [
        ear,
        { count: Object.keys(all).length, text: `${inspect(all, deep)} ${JSON.stringify(all)}` },
      ]),
    ),
  );
}

for (const source of [...Object.keys(SECRETS), "imds", "cloud-shell"]) {
  test(`${source}: channels, metadata, log, warnings and stderr hold neither secret nor token`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const tokens = [];
    const secretOf = ({ headers, form }) =>
      form?.client_assertion ?? headers["x-identity-header"] ?? headers.secret ?? "";
    const tokenFirst = (answer, request) => `${answer.access_token ?? tokens.at(-1)} ${secretOf(request)}`;
    const secretFirst = (answer, request) => `${secretOf(request)} ${answer.access_token ?? tokens.at(-1)}`;
    const granted = (make) => (answer, request) => {
      if (answer.access_token) tokens.push(answer.access_token);
      return make(answer, request);
    };
    const repeated = [tokenFirst, secretFirst].flatMap((said) => [
      (...given) => ({ error: "denied", error_description: said(...given) }),
      (...given) => ({ error: { code: "denied", message: said(...given) } }),
      (...given) => ({ statusCode: 400, message: said(...given) }),
      said,
    ]);
    endpoint.next([
      ...repeated.flatMap((make) => [400, 200].map((status) => ({ status, body: granted(make) }))),
      ...Array.from({ length: 3 }, () => ({ body: granted((answer) => answer) })),
    ]);
    const calls = 2 * repeated.length + 1;
    const { code, stderr, reports } = await startProcess(t, listenToEverything, {
      argument: { calls },
      env: endpoint.env,
    }).ended;
    t.is(code, 0, stderr);
    const [heard] = reports;
    t.true(tokens.length >= calls);
    const secrets = [...tokens, ...(SECRETS[source]?.(endpoint.env, endpoint) ?? [])];
    t.is(heard.failures.count, calls - 1);
    t.is(heard["acquire:start"].count, calls + 2);
    t.is(heard["acquire:end"].count, calls + 2);
    t.is(heard.warnings.count, 1);
    t.true(heard.lines.count > calls && heard.metadata.text.includes("tokenEndpoint"));
    for (const [ear, { text }] of Object.entries(heard)) hides(t, text, secrets, ear);
    t.is(stderr.replace(/^.*Warning: the last\n.*\n/, ""), "");
  });
}

test("a token in an error's body shows up nowhere", async (t) => {
  for (const body of [
    (answer) => ({ error: "denied", error_description: `your token was ${answer.access_token}` }),
    (answer) => ({ message: `token=${answer.access_token}` }),
    (answer) => `token=${answer.access_token}`,
    (answer) => ({ error: answer.access_token }),
    (answer) => ({ error: "denied", ...answer }),
    (answer) => JSON.stringify(answer).slice(0, -1),
    (answer) => `<html>${answer.access_token}`,
  ]) {
    const endpoint = await startEndpoint(t, "imds");
    const granted = [];
    for (const status of [200, 400]) {
      endpoint.next({
        status,
        body: (answer) => {
          granted.push(answer.access_token);
          return body(answer);
        },
      });
      const error = await expectError(t, acquireWithoutRetries(endpoint), undefined, String(body));
      hides(t, everything(error), granted, String(body));
    }
  }
});

test("an opaque token that came with an error shows up nowhere", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  const token = "opaque-0123456789-abcdefghij";
  for (const body of [
    { access_token: token, error: "denied" },
    { access_token: token, expires_on: 1_700_000_000 },
    token,
    `{"access_token": "${token}"`,
  ]) {
    endpoint.next({ status: 200, body });
    hides(
      t,
      everything(await expectError(t, acquireWithoutRetries(endpoint))),
      [token],
      JSON.stringify(body),
    );
  }
});

test("a secret shows up in no error about connections and time", async (t) => {
  const faults = [
    { drop: "before" },
    { drop: "body" },
    { reset: true },
    { delay: 60_000 },
    { body: "x".repeat(2_000_000) },
    { status: 302, headers: { Location: "https://elsewhere.example" } },
  ];
  const cells = Object.keys(SECRETS).flatMap((source) => faults.map((fault) => [source, fault]));
  await Promise.all(
    cells.map(async ([source, fault]) => {
      const endpoint = await startEndpoint(t, source);
      endpoint.always(fault);
      const error = await expectError(
        t,
        acquireWithoutRetries(endpoint, { resource: RESOURCE, timeout: 5_000 }),
      );
      await endpoint.waitForRequests(1);
      hides(t, everything(error), SECRETS[source](endpoint.env, endpoint), source);
    }),
  );
});

test("a secret shows up in no error about the environment", async (t) => {
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
    hides(t, everything(error), [secret], JSON.stringify(env));
  }
});

test("an id that an application was given is no secret, and a wrong option's value is not repeated", (t) => {
  for (const configuration of [
    { clientCapabilities: "hush-hush-hush" },
    { managedIdentityIdParams: "hush-hush-hush" },
    { system: { totalTimeout: "hush-hush-hush" } },
  ]) {
    const error = t.throws(() => new ManagedIdentityApplication(configuration));
    hides(t, everything(error), ["hush-hush-hush"]);
  }
});

test("an application shows nothing of what it holds", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const { accessToken } = await acquire(endpoint, RESOURCE, application);
  const shown = inspect(application, { depth: 10, showHidden: true }) + JSON.stringify(application);
  hides(t, shown, [accessToken, endpoint.env.IDENTITY_HEADER]);
});

(skipReason ? test.skip : test)(
  `Azure Arc's key shows up nowhere, however the agent sends it back${skipReason ? ` (${skipReason})` : ""}`,
  async (t) => {
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
          (said) => ({ error: "denied", error_description: said }),
          (said) => said,
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
            const shown =
              inspect(error, { depth: 10, showHidden: true, maxStringLength: null }) +
              JSON.stringify(error) +
              error.stack;
            report({ status: error.statusCode, known: key.length > 20, shown: shown.includes(key) });
          }
        }
        await endpoint.close();
      },
      { argument: KEY_DIRECTORY, command: namespaceCommand },
    );
    t.is(reports.length, 15);
    for (const { known, shown } of reports) t.true(known && !shown);
  },
);
