// getToken: when it says that there is no managed identity here, by an error of a name at which a chain of
// credentials moves on, and when it must not. README has the table. acquireToken never says so.

import { createRequire } from "node:module";
import test from "ava";
import { SCOPE } from "./support/credential.mjs";
import { startDeaf } from "./support/deaf.mjs";
import { ONCE, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { within } from "./support/environment.mjs";
import { refusal } from "./support/refusal.mjs";

const require = createRequire(import.meta.url);
const { AuthError, CredentialUnavailableError, ManagedIdentityApplication, ManagedIdentityError } =
  require("../index.js");
const { sources } = require("../emulator/index.js");

const UNREACHABLE = "managed_identity_unreachable_network";
const LATE = "network_unavailable";
const FAILED = "managed_identity_failed_response";
const CONTAINER_HOST = "dial tcp 169.254.169.254:80: connectex: A socket operation was attempted";
const UNASSIGNED = {
  error: "invalid_request",
  error_description: "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId",
};
const UNKNOWN = "00000000-0000-4000-8000-000000000000";
/** Over before anything can answer that is not to. */
const SHORT = 50;

function appService(origin) {
  return { IDENTITY_ENDPOINT: `${origin}/msi/token`, IDENTITY_HEADER: "x" };
}

/** An environment whose endpoint answers every request so. */
async function answering(t, fault, source) {
  const endpoint = await startEndpoint(t, source);
  if (fault) endpoint.always(fault);
  return endpoint.env;
}

const user = { managedIdentityIdParams: { userAssignedClientId: UNKNOWN } };

/** What happens, the code of the error, and the environment and options in which it does. */
const THERE_IS_NONE = {
  "nobody listens": [UNREACHABLE, async () => appService("http://127.0.0.1:1")],
  "the host's name is unknown": [UNREACHABLE, async () => appService("http://nowhere.invalid")],
  "the connection is reset": [UNREACHABLE, (t) => answering(t, { reset: true })],
  "the connection is closed without an answer": [UNREACHABLE, (t) => answering(t, { drop: "before" })],
  "https at a port that speaks http": [
    UNREACHABLE,
    async (t) => appService((await startEndpoint(t)).origin.replace("http:", "https:")),
  ],
  "no connection is accepted in time": [
    LATE,
    async (t) => appService(`http://127.0.0.1:${await startDeaf(t)}`),
    { system: { connectTimeout: SHORT } },
  ],
  "a host that answers 404": [FAILED, (t) => answering(t, { status: 404, body: "<html>" })],
  "a 404 with a code": ["ResourceNotFound", (t) => answering(t, notFound("ResourceNotFound"))],
  "an identity that the host does not know": [
    "invalid_request",
    (t) => answering(t, undefined, "imds"),
    user,
  ],
  "no identity is assigned": ["invalid_request", (t) => answering(t, { status: 400, body: UNASSIGNED })],
  "a container's host answers for IMDS": [
    UNREACHABLE,
    (t) => answering(t, { status: 403, body: CONTAINER_HOST }, "imds"),
  ],
};

const THERE_MAY_BE_ONE = {
  "a 400 without a code": [FAILED, (t) => answering(t, { status: 400, body: "" })],
  "a 400 with a code": ["invalid_scope", (t) => answering(t, refused(400, "invalid_scope"))],
  "several identities, and none is named": [
    "invalid_request",
    (t) => answering(t, refused(400, "invalid_request", "Multiple user assigned identities exist")),
  ],
  "a resource that the tenant does not know": [
    "invalid_resource",
    (t) => answering(t, refused(400, "invalid_resource", "AADSTS500011: The resource principal")),
  ],
  "the secret is refused": ["unauthorized", (t) => answering(t, refused(401, "unauthorized"))],
  "it is forbidden": [FAILED, (t) => answering(t, { status: 403, body: "" })],
  "the identity is being updated": [FAILED, (t) => answering(t, { status: 410, body: "" }, "imds")],
  throttled: [FAILED, (t) => answering(t, { status: 429, body: "" })],
  broken: [FAILED, (t) => answering(t, { status: 500, body: "" })],
  busy: [FAILED, (t) => answering(t, { status: 503, body: "" })],
  "a redirect": [FAILED, (t) => answering(t, { status: 302, headers: { Location: "/" }, body: "" })],
  "no token in the answer": [FAILED, (t) => answering(t, { body: {} })],
  "a token that has expired": [FAILED, (t) => answering(t, { expiresIn: -60 })],
  "an answer that takes too long": [
    LATE,
    (t) => answering(t, { delay: 60_000 }),
    { system: { requestTimeout: SHORT } },
  ],
  "a call that takes too long": [
    LATE,
    (t) => answering(t, { delay: 60_000 }),
    { system: { totalTimeout: SHORT } },
  ],
  "a variable that is no URL": [
    "identity_endpoint_url_malformed",
    async () => ({ IDENTITY_ENDPOINT: "nonsense", IDENTITY_HEADER: "x" }),
  ],
  "an address of IMDS that is no URL": [
    "azure_pod_identity_authority_host_url_malformed",
    async () => ({ AZURE_POD_IDENTITY_AUTHORITY_HOST: "nonsense" }),
  ],
  "a kind of id that the source does not take": [
    "unable_to_create_cloud_shell",
    (t) => answering(t, undefined, "cloud-shell"),
    user,
  ],
};

function refused(status, error, words = "no") {
  return { status, body: { error, error_description: words } };
}

function notFound(code) {
  return { status: 404, body: { error: { code, message: "No such thing." } } };
}

/** The errors of both methods in one case, each by an application of its own that makes a single request. */
async function errorsOf(t, [code, prepare, { system, ...configuration } = {}]) {
  const env = await prepare(t);
  const ask = (how) => {
    const all = { ...configuration, system: { ...ONCE.system, ...system } };
    return refusal(
      t,
      within(env, () => how(new ManagedIdentityApplication(all))),
      code,
    );
  };
  return {
    credential: await ask((application) => application.getToken([SCOPE], { enableCae: true })),
    remembering: await ask((application) => application.getToken(SCOPE)),
    plain: await ask((application) => application.acquireToken(RESOURCE)),
  };
}

/** An error that does not tell a chain to move on. */
function isOrdinary(t, error) {
  t.is(error.name, "ManagedIdentityError");
  t.false(error instanceof CredentialUnavailableError);
}

for (const [name, situation] of Object.entries(THERE_IS_NONE)) {
  test(`there is no managed identity: ${name}`, async (t) => {
    const { credential, remembering, plain } = await errorsOf(t, situation);
    for (const error of [credential, remembering]) {
      t.is(error.name, "CredentialUnavailableError");
      t.true(error instanceof CredentialUnavailableError);
      t.true(error instanceof ManagedIdentityError && error instanceof AuthError);
      t.is(error.code, error.errorCode);
      // It says as much as the other does.
      t.is(error.message, plain.message);
      t.deepEqual(Object.keys(error).sort(), Object.keys(plain).sort());
      t.is(error.cause?.code, plain.cause?.code);
    }
    isOrdinary(t, plain);
  });
}

for (const [name, situation] of Object.entries(THERE_MAY_BE_ONE)) {
  test(`there may be a managed identity: ${name}`, async (t) => {
    const { credential, remembering, plain } = await errorsOf(t, situation);
    for (const error of [credential, remembering, plain]) isOrdinary(t, error);
  });
}

for (const source of sources) {
  test(`there is no managed identity: nobody listens where ${source} is configured`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const { port } = new URL(endpoint.origin);
    const closed = ([name, value]) => [name, value.replace(`127.0.0.1:${port}`, "127.0.0.1:1")];
    const env = Object.fromEntries(Object.entries(endpoint.env).map(closed));
    const application = new ManagedIdentityApplication(ONCE);
    const error = await refusal(
      t,
      within(env, () => application.getToken(SCOPE)),
      UNREACHABLE,
    );
    t.is(error.name, "CredentialUnavailableError");
    t.is(error.cause.code, "ECONNREFUSED");
    t.deepEqual(endpoint.requests, []);
  });
}
