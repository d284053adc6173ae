// Errors: every code in the table of docs/api.md, raised through the public interface, and the fields of errors.

import { once } from "node:events";
import { createRequire } from "node:module";
import net from "node:net";
import { gzipSync } from "node:zlib";
import test from "ava";
import { arcDirectories, usualKeyFile, usualVariables } from "./support/arc-namespace.mjs";
import { has, testWith } from "./support/capabilities.mjs";
import { runProcess } from "./support/child-program.mjs";
import { acquire, acquireWithoutRetries, NO_RETRIES, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { ownAddress } from "./support/own-address.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { AuthError, ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");
const { userAssignedIdentity } = require("managed-identity-native/emulator");

const USER_ASSIGNED = { managedIdentityIdParams: { userAssignedClientId: userAssignedIdentity.clientId } };
const BY_OBJECT_ID = { managedIdentityIdParams: { userAssignedObjectId: userAssignedIdentity.objectId } };
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Acquires a token with these variables, without starting an endpoint. */
function acquireWith(env, configuration = NO_RETRIES, request = RESOURCE) {
  return withEnvironment(env, () => new ManagedIdentityApplication(configuration).acquireToken(request));
}

/** A challenge of Azure Arc's agent. */
function challenge(value) {
  return { status: 401, headers: { "WWW-Authenticate": value }, body: "" };
}

/**
 * How to raise each code. `source` and `fault` configure an endpoint, `env` changes its variables, `requests` is the
 * number of requests that it receives.
 */
const CODES = [
  ["invalid_resource", { request: "vault" }],
  ["invalid_configuration", { request: { resource: RESOURCE, timeout: "soon" } }],
  [
    "invalid_configuration",
    { source: "app-service", env: { IDENTITY_HEADER: "a\u0001b" }, named: "IDENTITY_HEADER" },
  ],
  ["invalid_configuration", { source: "machine-learning", env: { MSI_SECRET: "ä" }, named: "MSI_SECRET" }],
  [
    "invalid_configuration",
    {
      source: "workload-identity",
      env: { AZURE_AUTHORITY_HOST: "http://127.0.0.1:1" },
      named: "AZURE_AUTHORITY_HOST",
    },
  ],
  [
    "invalid_configuration",
    { source: "workload-identity", env: { AZURE_TENANT_ID: "../x" }, named: "AZURE_TENANT_ID" },
  ],
  [
    "invalid_managed_identity_id_type",
    { source: "machine-learning", configuration: BY_OBJECT_ID, named: "userAssignedObjectId" },
  ],
  ["unable_to_create_cloud_shell", { source: "cloud-shell", configuration: USER_ASSIGNED }],
  ["user_assigned_not_available_at_runtime", { source: "service-fabric", configuration: USER_ASSIGNED }],
  [
    "user_assigned_managed_identity_not_confirmed",
    {
      source: "azure-arc",
      configuration: USER_ASSIGNED,
      fault: { status: 200, body: { access_token: "x", expires_in: 3600 } },
      requests: 1,
      statusCode: 200,
    },
  ],
  [
    "user_assigned_managed_identity_not_confirmed",
    {
      source: "azure-arc",
      configuration: USER_ASSIGNED,
      fault: {
        status: 200,
        body: { access_token: "x", expires_in: 3600, client_id: userAssignedIdentity.objectId },
      },
      requests: 1,
      statusCode: 200,
    },
  ],
  ["www_authenticate_header_missing", { source: "azure-arc", fault: challenge(undefined), requests: 1 }],
  ["www_authenticate_header_missing", { source: "azure-arc", fault: challenge(""), requests: 1 }],
  ...[
    "Bearer realm=/a.key",
    "Basic",
    "Basic /a.key",
    "Basic realm=",
    "Basic area=/a.key",
    "Basicrealm=/a.key",
  ].map((value) => [
    "www_authenticate_header_unsupported_format",
    { source: "azure-arc", fault: challenge(value), requests: 1 },
  ]),
  ...[usualKeyFile("a.txt"), usualKeyFile("a.key.bak"), "/etc/shadow"].map((path) => [
    "invalid_file_extension",
    { source: "azure-arc", fault: challenge(`Basic realm=${path}`), requests: 1 },
  ]),
  ...[
    "/tmp/a.key",
    "a.key",
    usualKeyFile("..", "a.key"),
    usualKeyFile("deeper", "a.key"),
    usualKeyFile("A.KEY").toUpperCase().replace(/KEY$/, "key"),
  ].map((path) => [
    "invalid_file_path",
    { source: "azure-arc", fault: challenge(`Basic realm=${path}`), requests: 1 },
  ]),
  ...[`Basic realm=${usualKeyFile("none.key")}`, `bAsIc ReAlM = "${usualKeyFile("none.key")}" `].map(
    (value) => ["unable_to_read_secret_file", { source: "azure-arc", fault: challenge(value), requests: 1 }],
  ),
  [
    "unable_to_read_secret_file",
    { source: "workload-identity", env: { AZURE_FEDERATED_TOKEN_FILE: "/none/token" } },
  ],
  [
    "invalid_server_thumbprint",
    {
      source: "service-fabric",
      env: { IDENTITY_SERVER_THUMBPRINT: "x" },
      named: "IDENTITY_SERVER_THUMBPRINT",
    },
  ],
  ["managed_identity_failed_response", { source: "app-service", fault: { status: 400 }, requests: 1 }],
  ["invalid_request", { source: "imds", fault: { status: 400 }, requests: 1, statusCode: 400 }],
  ["server_error", { source: "azure-arc", fault: { status: 500 }, requests: 1, statusCode: 500 }],
  ["BadRequest", { source: "service-fabric", fault: { status: 400 }, requests: 1, statusCode: 400 }],
  [
    "unauthorized_client",
    {
      source: "imds",
      fault: { status: 401, body: { error: "unauthorized_client" } },
      requests: 1,
      statusCode: 401,
    },
  ],
  ["managed_identity_unreachable_network", { source: "app-service", fault: { drop: "before" }, requests: 1 }],
  [
    "managed_identity_unreachable_network",
    {
      source: "imds",
      fault: { status: 403, body: "connecting to 169.254.169.254:80: connectex: A socket operation" },
      requests: 1,
      statusCode: 403,
    },
  ],
];

for (const [code, { source, fault = null, env, configuration, request, ...expected }] of CODES) {
  const setup = JSON.stringify({ source, fault, env, configuration, request });
  test(`${code}: ${setup}`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    endpoint.always(fault);
    const error = await expectError(
      t,
      acquireWith(
        { ...usualVariables, ...endpoint.env, ...env },
        { ...NO_RETRIES, ...configuration },
        request,
      ),
      code,
    );
    t.is(endpoint.requests.length, expected.requests ?? 0);
    if (expected.statusCode !== undefined) t.is(error.statusCode, expected.statusCode);
    if (expected.named !== undefined) t.true(error.message.includes(expected.named), error.message);
    assertComplete(t, error);
  });
}

/** Asserts what all errors have in common. */
function assertComplete(t, error) {
  t.true(error instanceof ManagedIdentityError && error instanceof AuthError);
  t.is(error.name, "ManagedIdentityError");
  t.is(error.code, error.errorCode);
  t.is(error.message, `${error.errorCode}: ${error.errorMessage}`);
  t.not(error.errorMessage, "");
  t.is(error.subError, "");
  t.regex(error.correlationId, GUID);
  t.is(typeof error.retryable, "boolean");
  t.true(error.stack.startsWith(`ManagedIdentityError: ${error.message}`), error.stack);
  t.is(error.status, error.statusCode);
  const all = ["statusCode", "status", "errorNo", "source", "endpoint", "attempts", "cause"];
  for (const field of all) t.true(!(field in error) || error[field] !== undefined, field);
}

const MALFORMED = {
  IDENTITY_ENDPOINT: ["identity_endpoint_url_malformed", { IDENTITY_HEADER: "x" }],
  MSI_ENDPOINT: ["msi_endpoint_url_malformed", {}],
  IMDS_ENDPOINT: ["imds_endpoint_url_malformed", { IDENTITY_ENDPOINT: "http://127.0.0.1:1" }],
  AZURE_POD_IDENTITY_AUTHORITY_HOST: ["azure_pod_identity_authority_host_url_malformed", {}],
};
for (const [variable, [code, more]] of Object.entries(MALFORMED)) {
  test(`${code}: ${variable} is not an http or https URL`, async (t) => {
    for (const value of [
      "x",
      "/x",
      "127.0.0.1:1",
      "ftp://127.0.0.1:1",
      "data:,hush",
      "http://",
      "http://hush@127.0.0.1:1",
      "http://127.0.0.1:1/#hush",
      "http://127.0.0.1:99999",
    ]) {
      const error = await expectError(t, acquireWith({ ...more, [variable]: value }), code, value);
      t.true(error.message.includes(variable), error.message);
      t.false(error.message.includes("hush"));
      t.false(error.retryable);
      assertComplete(t, error);
    }
  });
}

test("identity_endpoint_url_malformed applies to Service Fabric and Azure Arc too", async (t) => {
  const code = "identity_endpoint_url_malformed";
  const fabric = { IDENTITY_HEADER: "x", IDENTITY_SERVER_THUMBPRINT: "0".repeat(40) };
  await expectError(t, acquireWith({ ...fabric, IDENTITY_ENDPOINT: "http://127.0.0.1:1" }), code);
  await expectError(t, acquireWith({ ...fabric, IDENTITY_ENDPOINT: "x" }), code);
  const error = await expectError(
    t,
    acquireWith({ IDENTITY_ENDPOINT: "x", IMDS_ENDPOINT: "http://127.0.0.1:1" }),
    code,
  );
  t.is(error.source, "AzureArc");
});

testWith(test, "own directories of Azure Arc")(
  "Azure Arc: each kind of unusable key file has its error code",
  async (t) => {
    const { command, env, keys, elsewhere } = arcDirectories(t);
    const unavailable = [
      ...(has("symbolic links") ? [] : ["link", "dangling link"]),
      ...(has("file permissions") ? [] : ["pipe"]),
    ];
    const reports = await runProcess(
      t,
      async ({ native, require, argument, report }) => {
        const { keys: tokens, elsewhere: other, unavailable } = argument;
        const fs = require("node:fs");
        const { execFileSync } = require("node:child_process");
        const { startEmulator } = require("managed-identity-native/emulator");
        const endpoint = await startEmulator({ source: "azure-arc", tokensDirectory: tokens });
        Object.assign(process.env, endpoint.env);
        const file = require("node:path").join(tokens, "test.key");
        const link = (to) => () => fs.symlinkSync(to, file);
        const write = (content) => () => fs.writeFileSync(file, content);
        fs.writeFileSync(`${other}/elsewhere.key`, "key");
        const files = {
          empty: write(""),
          blank: write(" \n"),
          "4,096 bytes": write("x".repeat(4096)),
          "4,097 bytes": write("x".repeat(4097)),
          binary: write(Buffer.from([0x80, 0xff])),
          "two lines": write("one\ntwo"),
          link: link(`${other}/elsewhere.key`),
          "dangling link": link(`${other}/none`),
          directory: () => fs.mkdirSync(file),
          pipe: () => execFileSync("mkfifo", [file]),
        };
        const application = new native.ManagedIdentityApplication({
          system: { disableInternalRetries: true },
        });
        for (const [name, create] of Object.entries(files)) {
          if (unavailable.includes(name)) continue;
          create();
          endpoint.next({ headers: { "WWW-Authenticate": `Basic realm=${file}` } });
          const before = endpoint.requests.length;
          const error = await application.acquireToken("https://a").catch((reason) => reason);
          const { errorCode, attempts, source, message } = error;
          report({ name, errorCode, attempts, source, requests: endpoint.requests.length - before });
          if (/elsewhere|one|xxx/.test(message)) report({ leaked: name });
          fs.rmSync(file, { recursive: true });
        }
        // The key is read for each challenge, and trailing white space is ignored.
        endpoint.next({
          headers: { "WWW-Authenticate": `Basic realm="${file}"` },
          body: () => {
            fs.writeFileSync(file, "first\r\n");
            return "";
          },
        });
        endpoint.next({ status: 200, body: { access_token: "x" } });
        await application.acquireToken("https://a");
        const [, second] = endpoint.requests.splice(-2);
        report({ authorization: second.headers.authorization });
        await endpoint.close();
      },
      { argument: { keys, elsewhere, unavailable }, command, env },
    );
    const invalid = { errorCode: "invalid_secret", attempts: 1, source: "AzureArc", requests: 1 };
    const unreadable = { ...invalid, errorCode: "unable_to_read_secret_file" };
    const rejected = { errorCode: "unauthorized_client", attempts: 2, source: "AzureArc", requests: 2 };
    const expected = [
      { name: "empty", ...invalid },
      { name: "blank", ...invalid },
      { name: "4,096 bytes", ...rejected },
      { name: "4,097 bytes", ...invalid },
      { name: "binary", ...invalid },
      { name: "two lines", ...invalid },
      { name: "link", ...unreadable },
      { name: "dangling link", ...unreadable },
      { name: "directory", ...unreadable },
      { name: "pipe", ...unreadable },
      { authorization: "Basic first" },
    ];
    t.deepEqual(
      reports,
      expected.filter(({ name }) => !unavailable.includes(name)),
    );
  },
);

testWith(test, "own directories of Azure Arc")(
  "Azure Arc is detected by the files of its agent",
  async (t) => {
    const { command, env, agents } = arcDirectories(t);
    const reports = await runProcess(
      t,
      ({ native, require, argument: { paths, variables }, report }) => {
        // Wine sets ProgramFiles in each process that starts.
        Object.assign(process.env, variables);
        const fs = require("node:fs");
        const application = new native.ManagedIdentityApplication();
        report(application.getManagedIdentitySource());
        for (const path of paths) {
          fs.mkdirSync(path, { recursive: true });
          report(application.getManagedIdentitySource());
          fs.rmdirSync(path);
          fs.writeFileSync(path, "");
          report(application.getManagedIdentitySource());
          fs.rmSync(path);
        }
      },
      { argument: { paths: agents, variables: env }, command },
    );
    const [none, file] = ["DefaultToImds", "AzureArc"];
    t.deepEqual(reports, [none, ...agents.flatMap(() => [none, file])]);
  },
);

test("an error response of the service: the error has its description, status, code and ids", async (t) => {
  const endpoint = await startEndpoint(t, "imds", { resources: ["https://known.example"] });
  const error = await expectError(t, acquireWithoutRetries(endpoint), "invalid_resource");
  assertComplete(t, error);
  t.is(error.statusCode, 400);
  t.is(error.source, "DefaultToImds");
  t.is(error.endpoint, endpoint.url);
  t.is(error.attempts, 1);
  t.false(error.retryable);
  t.false("cause" in error);
  const [{ headers }] = endpoint.requests;
  t.is(error.correlationId, headers["x-ms-client-request-id"]);
  t.true(error.message.includes("AADSTS500011"));
  t.true(error.message.includes("check the resource"));
  t.true(error.message.includes(error.correlationId));
  t.regex(error.message, /trace id [0-9a-f-]{36}/);
});

for (const [shape, body] of [
  ["correlation_id", { error: "x", correlation_id: "service-id" }],
  ["correlationId", { statusCode: 400, message: "x", correlationId: "service-id" }],
  ["error.correlationId", { error: { code: "x", message: "x", correlationId: "service-id" } }],
]) {
  test(`the error has the service's correlation id: ${shape}`, async (t) => {
    const endpoint = await startEndpoint(t);
    endpoint.always({ status: 400, body });
    const error = await expectError(t, acquireWithoutRetries(endpoint));
    t.is(error.correlationId, "service-id");
    t.true(error.message.includes("service-id"));
  });
}

test("without a correlation id of the service, the error has the call's", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  endpoint.always({ status: 400, body: "" });
  const first = await expectError(t, acquireWithoutRetries(endpoint));
  t.is(first.correlationId, endpoint.requests[0].headers["x-ms-client-request-id"]);
});

/** Responses without a usable token and without an error code. */
const UNUSABLE = {
  "an HTML 503": [{ status: 503, body: "<html><h1>Service unavailable</h1></html>" }, "Service unavailable"],
  "an empty 500": [{ status: 500, body: "" }, "answered 500"],
  "a plain 502": [{ status: 502, body: "bad\r\ngateway\u0007 here" }, "bad gateway here"],
  "a JSON 400 without a code": [{ status: 400, body: { message: "Some words" } }, "Some words"],
  "a JSON array": [{ status: 200, body: [] }, "not a JSON object"],
  "a null": [{ status: 200, body: "null" }, "not a JSON object"],
  "an HTML 200": [{ status: 200, body: "<html>sign in</html>" }, "not a JSON object"],
  "an empty 200": [{ status: 200, body: "" }, "not a JSON object"],
  "a 200 without a token": [{ body: {} }, "without a token"],
  "a token that is not a string": [{ body: { access_token: 5, expires_in: 60 } }, "without a token"],
  "an empty token": [{ body: { access_token: "", expires_in: 60 } }, "without a token"],
  "truncated JSON": [{ status: 200, body: '{"access_token": "x' }, "not a JSON object"],
  "a 204": [{ status: 204, body: "" }, "answered 204"],
  "a 304": [{ status: 304, body: "" }, "answered 304"],
  "a 302": [{ status: 302, headers: { Location: "/elsewhere" }, body: "" }, "redirect"],
  "an expired token": [{ expiresIn: -60 }, "already expired"],
};
for (const [name, [fault, part]] of Object.entries(UNUSABLE)) {
  test(`managed_identity_failed_response: ${name}`, async (t) => {
    const endpoint = await startEndpoint(t);
    endpoint.always(fault);
    const error = await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_failed_response");
    assertComplete(t, error);
    t.is(error.statusCode, fault.status ?? 200);
    t.is(error.source, "AppService");
    t.is(error.endpoint, endpoint.url);
    t.is(error.attempts, 1);
    t.is(error.retryable, (fault.status ?? 0) >= 500);
    t.true(error.message.includes(part), error.message);
    t.is(endpoint.requests.length, 1);
  });
}

test("a token beside an error is rejected", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ body: (original) => ({ ...original, error: "denied" }) });
  const error = await expectError(t, acquireWithoutRetries(endpoint), "denied");
  t.is(error.statusCode, 200);
});

test("a token with a status other than success is rejected", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const status of [300, 400, 500]) {
    endpoint.next({ status, body: (original) => original });
    const error = await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_failed_response");
    t.is(error.statusCode, status);
  }
});

test("a token is accepted and cached with every success status", async (t) => {
  for (const status of [200, 201, 202, 203, 206, 226]) {
    const endpoint = await startEndpoint(t);
    endpoint.next({ status, body: (original) => original });
    t.false((await acquireWithoutRetries(endpoint)).fromCache, `${status}`);
    t.true((await acquireWithoutRetries(endpoint)).fromCache, `${status}`);
    t.is(endpoint.requests.length, 1);
  }
});

test("a success status with an error is an error", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const status of [201, 206]) {
    endpoint.next({ status, body: (original) => ({ ...original, error: "denied" }) });
    const error = await expectError(t, acquireWithoutRetries(endpoint), "denied");
    t.is(error.statusCode, status);
  }
});

test("the service's description is quoted up to 500 characters", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 400, body: { message: "w".repeat(5000) } });
  const { message } = await expectError(t, acquireWithoutRetries(endpoint));
  t.is(/w{2,}/.exec(message)[0].length, 500);
});

test("an invalid code, such as a sentence, does not become the errorCode", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const error of ["not a code", "", "x\ny", "<b>", { code: "not a code" }, { code: 5 }, 5, []]) {
    endpoint.next({ status: 400, body: { error, message: "words" } });
    await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_failed_response");
  }
});

test("a redirect to another origin is not followed: the second server sees nothing", async (t) => {
  const endpoint = await startEndpoint(t);
  const other = await startEndpoint(t);
  for (const status of [301, 302, 303, 307, 308]) {
    endpoint.next({ status, headers: { Location: other.url }, body: "" });
    const error = await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_failed_response");
    t.is(error.statusCode, status);
    t.true(error.message.includes("redirect"));
  }
  t.is(endpoint.requests.length, 5);
  t.deepEqual(other.requests, []);
});

test("a body that claims to be gzip is not decompressed", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({
    headers: { "Content-Encoding": "gzip" },
    body: (original) => gzipSync(JSON.stringify(original)),
  });
  const error = await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_failed_response");
  t.is(error.statusCode, 200);
  t.is(endpoint.requests[0].headers["accept-encoding"], "identity");
});

for (const [name, headers] of [
  ["with Content-Length", {}],
  ["chunked", { "Transfer-Encoding": "chunked" }],
]) {
  test(`a body over 1 MiB is rejected, ${name}`, async (t) => {
    const endpoint = await startEndpoint(t);
    const padding = (bytes) => (original) => ({ ...original, padding: "x".repeat(bytes) });
    endpoint.next({ headers, body: padding(2 * 1_048_576) });
    const error = await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_failed_response");
    t.true(error.message.includes("over 1 MiB"), error.message);
    t.false(error.retryable);
    endpoint.next({ headers, body: padding(1_000_000) });
    t.false((await acquireWithoutRetries(endpoint)).fromCache);
  });
}

for (const [name, fault] of Object.entries({
  "closed without a response": { drop: "before" },
  "reset without a response": { reset: true },
  "closed within the header": { drop: "headers" },
  "reset within the header": { drop: "headers", reset: true },
  "closed within the body": { drop: "body" },
  "reset within the body": { drop: "body", reset: true },
})) {
  test(`managed_identity_unreachable_network: ${name}`, async (t) => {
    const endpoint = await startEndpoint(t);
    endpoint.always(fault);
    const error = await expectError(
      t,
      acquireWithoutRetries(endpoint),
      "managed_identity_unreachable_network",
    );
    assertComplete(t, error);
    t.is(error.source, "AppService");
    t.is(error.endpoint, endpoint.url);
    t.is(error.attempts, 1);
    t.true(error.retryable);
    t.false("statusCode" in error);
    t.true(error.cause instanceof Error);
    t.is(error.cause.code, "ECONNRESET");
    t.is(endpoint.requests.length, 1);
  });
}

test("managed_identity_unreachable_network: a closed port", async (t) => {
  const endpoint = await startEndpoint(t, "app-service", { host: ownAddress() });
  await endpoint.close();
  const error = await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_unreachable_network");
  assertComplete(t, error);
  t.is(error.cause.code, "ECONNREFUSED");
  t.true(error.cause instanceof Error);
  t.true(error.retryable);
  t.is(error.endpoint, endpoint.url);
  t.false(Object.keys(error).includes("cause"), "cause is not enumerable, as in errors of Node.js");
});

test("managed_identity_unreachable_network: an unknown host name", async (t) => {
  const env = { IDENTITY_ENDPOINT: "http://nowhere.invalid/msi/token", IDENTITY_HEADER: "x" };
  const error = await expectError(t, acquireWith(env), "managed_identity_unreachable_network");
  t.is(error.cause.code, "ENOTFOUND");
  t.true(error.message.includes("cannot be resolved"), error.message);
});

test("managed_identity_unreachable_network: https on an http port", async (t) => {
  const endpoint = await startEndpoint(t);
  const env = { ...endpoint.env, IDENTITY_ENDPOINT: endpoint.url.replace("http:", "https:") };
  const error = await expectError(t, acquireWith(env), "managed_identity_unreachable_network");
  t.true(error.message.includes("TLS"), error.message);
  t.false(error.retryable);
  t.deepEqual(endpoint.requests, []);
});

test("managed_identity_unreachable_network: https with a certificate that the system does not trust", async (t) => {
  const endpoint = await startEndpoint(t, "app-service", { secure: true });
  // Only Service Fabric and workload identity use other roots than the system's.
  const env = { ...endpoint.env, NODE_EXTRA_CA_CERTS: "/none" };
  const error = await expectError(t, acquireWith(env), "managed_identity_unreachable_network");
  t.true(error.message.includes("trust roots"), error.message);
  t.deepEqual(endpoint.requests, []);
});

test("managed_identity_failed_response: a port that does not use HTTP", async (t) => {
  const server = net.createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end("220 mail.example ESMTP\r\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const env = {
    IDENTITY_ENDPOINT: `http://127.0.0.1:${server.address().port}/msi/token`,
    IDENTITY_HEADER: "x",
  };
  const error = await expectError(t, acquireWith(env), "managed_identity_failed_response");
  t.true(error.message.includes("not HTTP"), error.message);
  t.false(error.retryable);
});

test("the endpoint of an error has no query", async (t) => {
  const endpoint = await startEndpoint(t);
  const env = { ...endpoint.env, IDENTITY_ENDPOINT: `${endpoint.url}?own=hush` };
  endpoint.always({ status: 400, body: "" });
  const error = await expectError(t, acquireWith(env));
  t.is(error.endpoint, endpoint.url);
  t.false(error.message.includes("hush"));
});

test("attempts counts retries, and the message contains the number", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next([{ status: 503 }, { status: 400 }]);
  const error = await expectError(t, acquire(endpoint));
  t.is(error.attempts, 2);
  t.is(error.statusCode, 400);
  t.is(endpoint.requests.length, 2);
});

test("broken connections are retried within the call", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next([{ drop: "before" }, { reset: true }]);
  t.false((await acquire(endpoint)).fromCache);
  t.is(endpoint.requests.length, 3);
});

test("a Retry-After longer than the timeout fails the call immediately, and the next call without a request", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  endpoint.next({ status: 429, headers: { "Retry-After": "60" } });
  const request = { resource: RESOURCE, timeout: 30_000 };
  const first = await expectError(t, acquire(endpoint, request));
  t.is(first.statusCode, 429);
  t.true(first.retryable);
  const second = await expectError(t, acquire(endpoint, request), "managed_identity_failed_response");
  t.is(second.statusCode, 429);
  t.true(second.retryable);
  t.is(second.attempts, 0);
  t.is(endpoint.requests.length, 1);
});

/** Known error responses and the remedies that the messages contain. */
const REMEDIES = {
  "Identity not found": [
    { source: "imds", options: { systemAssigned: false, identities: [] } },
    "managedIdentityIdParams",
  ],
  "No User Assigned or Delegated Managed Identity found": [
    {
      source: "app-service",
      configuration: {
        managedIdentityIdParams: { userAssignedClientId: "00000000-0000-0000-0000-000000000000" },
      },
    },
    "Assign a managed identity",
  ],
  "Multiple user assigned identities exist": [
    { source: "imds", options: { systemAssigned: false } },
    "managedIdentityIdParams",
  ],
  AADSTS500011: [
    { source: "app-service", options: { resources: ["https://known.example"] } },
    "check the resource",
  ],
  "answered 403": [
    { source: "imds", fault: { status: 403, body: "dial tcp 169.254.169.254:80: 到达不了" } },
    "not in Azure",
  ],
};
for (const [symptom, [{ source, options, configuration, fault = null }, remedy]] of Object.entries(
  REMEDIES,
)) {
  test(`the remedy for "${symptom}" is in the message`, async (t) => {
    const endpoint = await startEndpoint(t, source, options);
    endpoint.always(fault);
    const { message } = await expectError(t, acquireWithoutRetries(endpoint, RESOURCE, configuration));
    t.true(message.includes(symptom) && message.includes(remedy), message);
  });
}
