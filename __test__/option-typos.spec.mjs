// Mistakes in options that must not select another identity or create a call that cannot be aborted.

import { createRequire } from "node:module";
import test from "ava";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const {
  ManagedIdentityApplication,
  ManagedIdentityError,
  ManagedIdentityId,
} = require("managed-identity-native");

const GUID = "1f2e3d4c-0000-4aaa-8bbb-123456789abc";
const RESOURCE_ID =
  "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i";
const OPTIONS = ["userAssignedClientId", "userAssignedResourceId", "userAssignedObjectId", "userAssignedId"];

/** Ids with characters around them that no id has, and how the message describes them. */
const INVALID_IDS = [
  [`${GUID}\n`, "white space"],
  [` ${GUID}`, "white space"],
  [`${GUID}\t`, "white space"],
  [`\ufeff${GUID}`, "white space"],
  [`"${GUID}"`, "quotation marks"],
  [`'${GUID}'`, "quotation marks"],
  [`\u201c${GUID}\u201d`, "quotation marks"],
  ["undefined", '"undefined"'],
  ["null", '"null"'],
  [`${{}}`, '"[object Object]"'],
];

function assertRejected(t, create, parts) {
  const error = t.throws(create, { instanceOf: ManagedIdentityError });
  t.is(error.errorCode, "invalid_configuration", error.message);
  for (const part of parts) t.true(error.message.includes(part), error.message);
  t.false(error.message.includes(GUID), error.message);
}

for (const option of OPTIONS) {
  test(`${option}: an id with extra characters is rejected and not shown`, (t) => {
    for (const [id, description] of INVALID_IDS) {
      const managedIdentityIdParams = { [option]: id };
      assertRejected(t, () => new ManagedIdentityApplication({ managedIdentityIdParams }), [
        option,
        description,
      ]);
    }
  });
}

test("the factory methods and fromEnvironment reject the same ids and name their own parameter", (t) => {
  for (const [id, description] of INVALID_IDS) {
    for (const option of OPTIONS.slice(0, 3)) {
      const method = `with${option[0].toUpperCase()}${option.slice(1)}`;
      assertRejected(t, () => ManagedIdentityId[method](id), [option, description]);
    }
    const { fromEnvironment } = ManagedIdentityApplication;
    assertRejected(t, () => fromEnvironment({ AZURE_CLIENT_ID: id }), ["AZURE_CLIENT_ID", description]);
    const MANAGED_IDENTITY = JSON.stringify({ ManagedIdentityIdType: "ObjectId", Id: id });
    assertRejected(t, () => fromEnvironment({ MANAGED_IDENTITY }), ["MANAGED_IDENTITY", description]);
  }
});

test("an invalid AZURE_CLIENT_ID is rejected only by the source that uses it, without a request", async (t) => {
  const endpoint = await startEndpoint(t, "workload-identity");
  for (const id of ["undefined", "null", `${GUID}\n`, `"${GUID}"`]) {
    const env = { ...endpoint.env, AZURE_CLIENT_ID: id };
    const error = await expectError(
      t,
      withEnvironment(env, () => new ManagedIdentityApplication().acquireToken(RESOURCE)),
      "invalid_configuration",
    );
    t.true(error.message.includes("AZURE_CLIENT_ID") && !error.message.includes(GUID), error.message);
    t.is(error.source, "WorkloadIdentity");
  }
  t.deepEqual(endpoint.requests, []);
  const other = await startEndpoint(t);
  const env = { ...other.env, AZURE_CLIENT_ID: "undefined" };
  await withEnvironment(env, () => new ManagedIdentityApplication().acquireToken(RESOURCE));
  t.is(other.requests.length, 1);
});

test("an error about an unknown identity contains the id, if it has the format of one", async (t) => {
  const endpoint = await startEndpoint(t);
  const body = '{"statusCode":400,"message":"No User Assigned or Delegated Managed Identity found"}';
  endpoint.always({ status: 400, body });
  const messageFor = async (managedIdentityIdParams) => {
    const application = new ManagedIdentityApplication({ managedIdentityIdParams });
    return (await expectError(t, acquire(endpoint, RESOURCE, application))).message;
  };
  t.regex(await messageFor({ userAssignedClientId: GUID }), new RegExp(`The request named ${GUID}\\.$`));
  t.true((await messageFor({ userAssignedResourceId: RESOURCE_ID })).endsWith(`${RESOURCE_ID}.`));
  const secret = await messageFor({ userAssignedObjectId: "a-secret-in-the-wrong-variable" });
  t.false(secret.includes("a-secret") || secret.includes("The request named"), secret);
  t.false((await messageFor({})).includes("The request named"));
});

test("if one of two ids is empty, the message names it", (t) => {
  const ids = { userAssignedClientId: GUID, userAssignedObjectId: "" };
  const error = t.throws(() => new ManagedIdentityApplication({ managedIdentityIdParams: ids }));
  t.is(error.errorCode, "invalid_managed_identity_id_type");
  t.true(error.message.includes(".userAssignedObjectId is an empty string"), error.message);
});

for (const [source, variable, header] of [
  ["app-service", "IDENTITY_HEADER", "x-identity-header"],
  ["machine-learning", "MSI_SECRET", "secret"],
]) {
  test(`${variable}: trailing line breaks are removed, as by fetch`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const secret = endpoint.env[variable];
    for (const [index, end] of ["\n", "\r\n", "\n\n"].entries()) {
      const env = { ...endpoint.env, [variable]: `${secret}${end}` };
      const resource = `https://number${index}.example`;
      await withEnvironment(env, () => new ManagedIdentityApplication().acquireToken(resource));
    }
    t.deepEqual(
      endpoint.requests.map(({ headers }) => headers[header]),
      [secret, secret, secret],
    );
  });
}

const MISPLACED = {
  clientId: "userAssignedClientId",
  clientID: "userAssignedClientId",
  client_id: "userAssignedClientId",
  managedIdentityClientId: "userAssignedClientId",
  managedIdentityResourceId: "userAssignedResourceId",
  resourceId: "userAssignedResourceId",
  objectId: "userAssignedObjectId",
  userAssignedClientId: "userAssignedClientId",
  userAssignedResourceId: "userAssignedResourceId",
  userAssignedObjectId: "userAssignedObjectId",
  userAssignedId: "userAssignedId",
};

test("an id outside managedIdentityIdParams is rejected, and the message says where it belongs", (t) => {
  for (const [key, correct] of Object.entries(MISPLACED)) {
    for (const id of [GUID, "", 5, {}]) {
      const parts = [`${key} `, `managedIdentityIdParams.${correct}.`];
      assertRejected(t, () => new ManagedIdentityApplication({ [key]: id }), parts);
    }
    const managedIdentityIdParams = { userAssignedClientId: GUID };
    assertRejected(t, () => new ManagedIdentityApplication({ managedIdentityIdParams, [key]: GUID }), [key]);
    assertRejected(t, () => ManagedIdentityApplication.fromEnvironment({}, { [key]: GUID }), [key]);
    for (const absent of [undefined, null]) {
      t.notThrows(() => new ManagedIdentityApplication({ [key]: absent }));
    }
  }
});

const MISSPELLED = {
  userAssignedClientID: "userAssignedClientId",
  clientId: "userAssignedClientId",
  UserAssignedClientId: "userAssignedClientId",
  msiResId: "userAssignedResourceId",
  resourceId: "userAssignedResourceId",
  principalId: "userAssignedObjectId",
  name: "userAssignedClientId, userAssignedResourceId, userAssignedObjectId, userAssignedId",
  "": "userAssignedClientId, userAssignedResourceId, userAssignedObjectId, userAssignedId",
};

test("an unknown key in managedIdentityIdParams is rejected, and the message suggests the correct one", (t) => {
  for (const [key, correct] of Object.entries(MISSPELLED)) {
    const create = (ids) => () => new ManagedIdentityApplication({ managedIdentityIdParams: ids });
    assertRejected(t, create({ [key]: GUID }), [`managedIdentityIdParams.${key} `, correct]);
    assertRejected(t, create({ userAssignedClientId: GUID, [key]: GUID }), [
      `managedIdentityIdParams.${key} `,
    ]);
    for (const absent of [undefined, null]) t.notThrows(create({ [key]: absent }));
  }
});

test("misspellings of managedIdentityIdParams are rejected, and the message suggests the correct one", (t) => {
  for (const key of ["managedIdentityParams", "managedIdentityIdparams", "managed_identity_id_params"]) {
    const ids = { userAssignedClientId: GUID };
    assertRejected(t, () => new ManagedIdentityApplication({ [key]: ids }), [
      `${key} `,
      "managedIdentityIdParams.",
    ]);
    t.notThrows(() => new ManagedIdentityApplication({ [key]: undefined }));
  }
});

test("only own keys are checked, and getters of unknown keys are not called", (t) => {
  class Ids {
    userAssignedClientId = GUID;

    get clientId() {
      throw new RangeError("called");
    }
  }
  t.notThrows(() => new ManagedIdentityApplication({ managedIdentityIdParams: new Ids() }));
  const configuration = {
    get auth() {
      throw new RangeError("called");
    },
    get tenantId() {
      throw new RangeError("called");
    },
    [Symbol("clientId")]: GUID,
  };
  t.notThrows(() => new ManagedIdentityApplication(configuration));
  t.notThrows(() => new ManagedIdentityApplication(Object.create({ clientId: GUID })));
});

test("signal and scope in a request are rejected only as own keys", async (t) => {
  const endpoint = await startEndpoint(t);
  class Request {
    resource = RESOURCE;

    get signal() {
      return "not a signal";
    }
  }
  const application = new ManagedIdentityApplication();
  for (const request of [
    new Request(),
    Object.assign(Object.create({ scope: "x" }), { resource: RESOURCE }),
  ]) {
    t.truthy((await acquire(endpoint, request, application)).accessToken);
  }
});

const FIELDS = [
  [{ resource: RESOURCE, signal: AbortSignal.abort() }, ["signal ", "abortSignal"]],
  [{ resource: RESOURCE, signal: false }, ["signal ", "abortSignal"]],
  [{ scope: RESOURCE }, ["scope ", "resource", "scopes"]],
  [{ resource: RESOURCE, scope: [RESOURCE] }, ["scope ", "resource"]],
  [{ scopes: [RESOURCE], signal: new AbortController().signal }, ["signal ", "abortSignal"]],
];

test("signal and scope are rejected, and the message suggests the correct key, also if a token is memoized", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  for (const round of ["without a token", "with one"]) {
    for (const [request, parts] of FIELDS) {
      let promise;
      t.notThrows(() => {
        promise = acquire(endpoint, request, application);
      });
      const error = await expectError(t, promise, "invalid_configuration", round);
      for (const part of parts) t.true(error.message.includes(part), error.message);
      t.regex(error.correlationId, /^[0-9a-f-]{36}$/);
    }
    await acquire(endpoint, RESOURCE, application);
  }
  t.is(endpoint.requests.length, 1);
  for (const absent of [undefined, null]) {
    const request = { resource: RESOURCE, signal: absent, scope: absent };
    t.true((await acquire(endpoint, request, application)).fromCache);
  }
});
