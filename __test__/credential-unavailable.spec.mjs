// `getToken` where there is no managed identity: it rejects with a CredentialUnavailableError, at which a credential
// chain continues, in exactly the situations of the documented table of configured endpoints. acquireToken never does.
// imds-address.spec.mjs covers the table of IMDS's own address.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { neededBySource, testWith } from "./support/capabilities.mjs";
import { configuredRows } from "./support/chain-tables.mjs";
import { runProcess } from "./support/child-program.mjs";
import { SCOPE } from "./support/credential.mjs";
import { NO_RETRIES, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";
import { startUnresponsiveServer } from "./support/unresponsive-server.mjs";

const require = createRequire(import.meta.url);
const { AuthError, CredentialUnavailableError, ManagedIdentityApplication, ManagedIdentityError } =
  require("managed-identity-native");
const { sources } = require("managed-identity-native/emulator");

const UNREACHABLE = "managed_identity_unreachable_network";
const CONTAINER_HOST = "dial tcp 169.254.169.254:80: connectex: A socket operation was attempted";
const UNASSIGNED = {
  error: "invalid_request",
  error_description: "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId",
};
const UNKNOWN = "00000000-0000-4000-8000-000000000000";
/** A timeout that ends before any response that is not meant to arrive. */
const SHORT_MS = 50;

function appService(origin) {
  return { IDENTITY_ENDPOINT: `${origin}/msi/token`, IDENTITY_HEADER: "x" };
}

/** The environment of an endpoint that answers every request with this fault. */
async function faultyEndpoint(t, fault, source) {
  const endpoint = await startEndpoint(t, source);
  if (fault) endpoint.always(fault);
  return endpoint.env;
}

const POD = {
  AZURE_FEDERATED_TOKEN_FILE: "/nowhere/token",
  AZURE_TENANT_ID: "8f7d9c1e-0000-4000-8000-00000000000a",
  AZURE_CLIENT_ID: "8f7d9c1e-0000-4000-8000-00000000000b",
};

const user = { managedIdentityIdParams: { userAssignedClientId: UNKNOWN } };

/**
 * Each situation of the table: the service's own error code if the table has none, and the environment and options that
 * cause it.
 */
const SITUATIONS = {
  "the connection is refused": [undefined, async () => appService("http://127.0.0.1:1")],
  "the host name cannot be resolved": [undefined, async () => appService("http://nowhere.invalid")],
  "the connection is reset": [undefined, (t) => faultyEndpoint(t, { reset: true })],
  "the connection is closed without a response": [undefined, (t) => faultyEndpoint(t, { drop: "before" })],
  "the TLS handshake fails": [
    undefined,
    async (t) => appService((await startEndpoint(t)).origin.replace("http:", "https:")),
  ],
  "a `networkClient` fails": [
    undefined,
    async () => appService("http://127.0.0.1:1"),
    { system: { networkClient: failingClient() } },
  ],
  "a container host responds in place of IMDS": [
    undefined,
    (t) => faultyEndpoint(t, { status: 403, body: CONTAINER_HOST }, "imds"),
  ],
  "no connection is accepted in time": [
    undefined,
    async (t) => appService(`http://127.0.0.1:${await startUnresponsiveServer(t)}`),
    { system: { connectTimeout: SHORT_MS } },
  ],
  "a 404": [undefined, (t) => faultyEndpoint(t, { status: 404, body: "<html>" })],
  "a 404 with a code": ["ResourceNotFound", (t) => faultyEndpoint(t, notFound("ResourceNotFound"))],
  "an identity that the endpoint does not have": [
    "invalid_request",
    (t) => faultyEndpoint(t, undefined, "imds"),
    user,
  ],
  "an identity is not assigned": [
    "invalid_request",
    (t) => faultyEndpoint(t, { status: 400, body: UNASSIGNED }),
  ],
  "the token file of a workload identity is missing": [undefined, async () => POD],
  "the environment has none of the sources in `source`": [
    undefined,
    async () => appService("http://127.0.0.1:1"),
    { source: ["AzureArc", "MachineLearning"] },
  ],
  "this process itself cannot open a connection": [
    undefined,
    async () => appService("http://127.0.0.1:1"),
    { system: { networkClient: failingClient("EMFILE") } },
  ],
  "a response takes too long": [
    undefined,
    (t) => faultyEndpoint(t, { delay: 60_000 }),
    { system: { requestTimeout: SHORT_MS } },
  ],
  "the call takes too long": [
    undefined,
    (t) => faultyEndpoint(t, { delay: 60_000 }),
    { system: { totalTimeout: SHORT_MS } },
  ],
  "a 400 without a code": [undefined, (t) => faultyEndpoint(t, { status: 400, body: "" })],
  "a 401 without a code": [undefined, (t) => faultyEndpoint(t, { status: 401, body: "" })],
  "a 403": [undefined, (t) => faultyEndpoint(t, { status: 403, body: "" })],
  "a 410": [undefined, (t) => faultyEndpoint(t, { status: 410, body: "" }, "imds")],
  "a 429": [undefined, (t) => faultyEndpoint(t, { status: 429, body: "" })],
  "a 500": [undefined, (t) => faultyEndpoint(t, { status: 500, body: "" })],
  "a 503": [undefined, (t) => faultyEndpoint(t, { status: 503, body: "" })],
  "a redirect": [
    undefined,
    (t) => faultyEndpoint(t, { status: 302, headers: { Location: "/" }, body: "" }, "imds"),
  ],
  "HTML with 200": [undefined, (t) => faultyEndpoint(t, { body: "<!DOCTYPE html>" }, "imds")],
  "a success without a token": [undefined, (t) => faultyEndpoint(t, { body: {} }, "imds")],
  "an expired token": [undefined, (t) => faultyEndpoint(t, { expiresIn: -60 })],
  "a 400 with a code": ["invalid_scope", (t) => faultyEndpoint(t, errorResponse(400, "invalid_scope"))],
  "a rejected secret": ["unauthorized", (t) => faultyEndpoint(t, errorResponse(401, "unauthorized"))],
  "several identities exist and the request names none": [
    "invalid_request",
    (t) =>
      faultyEndpoint(t, errorResponse(400, "invalid_request", "Multiple user assigned identities exist")),
  ],
  "a resource that does not exist in the tenant": [
    "invalid_resource",
    (t) => faultyEndpoint(t, errorResponse(400, "invalid_resource", "AADSTS500011: The resource principal")),
  ],
  "a workload identity without a client id": [
    undefined,
    async () => ({ ...POD, AZURE_CLIENT_ID: undefined }),
  ],
  "an option of a wrong type": [undefined, async () => POD, {}, { options: { claims: 1 } }],
  "the token file of a workload identity is empty": [
    undefined,
    // Another tenant, because calls of the same tenant and client share a request.
    async (t) => ({ ...POD, AZURE_TENANT_ID: "contoso.example", AZURE_FEDERATED_TOKEN_FILE: emptyFile(t) }),
  ],
  "a variable that is not a URL": [
    undefined,
    async () => ({ IDENTITY_ENDPOINT: "nonsense", IDENTITY_HEADER: "x" }),
  ],
  "a kind of id that the source does not accept": [
    undefined,
    (t) => faultyEndpoint(t, undefined, "cloud-shell"),
    user,
  ],
};

function emptyFile(t) {
  const directory = mkdtempSync(join(tmpdir(), "federated-token-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "token");
  writeFileSync(file, "");
  return file;
}

/** A network client that rejects with this code. */
function failingClient(code) {
  const sendGetRequestAsync = async () => {
    throw Object.assign(new Error("it failed"), { code });
  };
  return { sendGetRequestAsync, sendPostRequestAsync: sendGetRequestAsync };
}

function errorResponse(status, error, description = "no") {
  return { status, body: { error, error_description: description } };
}

function notFound(code) {
  return { status: 404, body: { error: { code, message: "No such thing." } } };
}

/** The errors of all methods in one situation, each from a new application that does not retry. */
async function errorsOf(t, code, [, prepare, { system, ...configuration } = {}, { options } = {}]) {
  const env = await prepare(t);
  const failWith = (method) => {
    const all = { ...configuration, system: { ...NO_RETRIES.system, ...system } };
    return expectError(
      t,
      withEnvironment(env, () => method(new ManagedIdentityApplication(all))),
      code,
    );
  };
  return {
    credential: await failWith((application) =>
      application.getToken([SCOPE], { enableCae: true, ...options }),
    ),
    memoized: await failWith((application) => application.getToken(SCOPE, options)),
    plain: await failWith((application) => application.acquireToken({ resource: RESOURCE, ...options })),
  };
}

/** Asserts that an error does not make a chain continue. */
function assertChainStops(t, error) {
  t.is(error.name, "ManagedIdentityError");
  t.false(error instanceof CredentialUnavailableError);
}

test("the documented table has every situation", (t) => {
  t.deepEqual(configuredRows.map(({ situation }) => situation).sort(), Object.keys(SITUATIONS).sort());
});

for (const { situation, code, movesOn } of configuredRows) {
  const capabilities = situation === "no connection is accepted in time" ? ["unanswered connections"] : [];
  testWith(test, ...capabilities)(`${situation}: a chain ${movesOn ? "moves on" : "stops"}`, async (t) => {
    const entry = SITUATIONS[situation];
    const { credential, memoized, plain } = await errorsOf(t, code ?? entry[0], entry);
    assertChainStops(t, plain);
    for (const error of [credential, memoized]) {
      if (!movesOn) {
        assertChainStops(t, error);
        continue;
      }
      t.is(error.name, "CredentialUnavailableError");
      t.true(error instanceof CredentialUnavailableError);
      t.true(error instanceof ManagedIdentityError && error instanceof AuthError);
      t.is(error.code, error.errorCode);
      // It contains the same information as the other error.
      t.is(error.message, plain.message);
      t.deepEqual(Object.keys(error).sort(), Object.keys(plain).sort());
      t.is(error.cause?.code, plain.cause?.code);
    }
  });
}

test("a local failure is an ordinary error with the system's code in its cause", async (t) => {
  for (const code of ["EADDRNOTAVAIL", "EMFILE", "ENFILE", "ENOBUFS", "EACCES", "EPERM"]) {
    const system = { ...NO_RETRIES.system, networkClient: failingClient(code) };
    const application = new ManagedIdentityApplication({ system });
    const error = await expectError(
      t,
      withEnvironment(appService("http://127.0.0.1:1"), () => application.getToken(SCOPE)),
      UNREACHABLE,
    );
    assertChainStops(t, error);
    t.is(error.cause.code, code);
  }
});

testWith(
  test,
  "resource limits",
  "other loopback addresses",
)("without a free file descriptor, getToken rejects with an ordinary error", testWithoutDescriptors);

/** Exhausts the file descriptors of a process before its next call. */
async function testWithoutDescriptors(t) {
  const endpoint = await startEndpoint(t);
  const program = async ({ native, require, argument, report }) => {
    const { openSync } = require("node:fs");
    const application = new native.ManagedIdentityApplication({ system: { disableInternalRetries: true } });
    await application.getToken("https://storage.azure.com/.default"); // Starts the threads of the process.
    const { origin } = new URL(process.env.IDENTITY_ENDPOINT);
    process.env.IDENTITY_ENDPOINT = `${origin.replace("127.0.0.1", "127.0.0.2")}/msi/token`;
    try {
      for (;;) openSync("/dev/null");
    } catch (error) {
      report(error.code);
    }
    const error = await application.getToken(argument).catch((thrown) => thrown);
    report([error.name, error.code, error.cause.code]);
  };
  const command = ["sh", "-c", 'ulimit -n 128; exec "$@"', "sh"];
  const reports = await runProcess(t, program, { env: endpoint.env, argument: SCOPE, command });
  t.deepEqual(reports, ["EMFILE", ["ManagedIdentityError", UNREACHABLE, "EMFILE"]]);
}

for (const source of sources) {
  testWith(test, ...neededBySource(source))(
    `${source}: if nothing listens at the configured endpoint, there is no managed identity`,
    async (t) => {
      const endpoint = await startEndpoint(t, source);
      const { port } = new URL(endpoint.origin);
      const closed = ([name, value]) => [name, value.replace(`127.0.0.1:${port}`, "127.0.0.1:1")];
      const env = Object.fromEntries(Object.entries(endpoint.env).map(closed));
      const application = new ManagedIdentityApplication(NO_RETRIES);
      const error = await expectError(
        t,
        withEnvironment(env, () => application.getToken(SCOPE)),
        UNREACHABLE,
      );
      t.is(error.name, "CredentialUnavailableError");
      t.is(error.cause.code, "ECONNREFUSED");
      t.deepEqual(endpoint.requests, []);
    },
  );
}
