// Response formats of real endpoints: every kind of error reaches the caller with all its information, and every kind
// of expiry and every success status gives a cached token.

import { createRequire } from "node:module";
import test from "ava";
import { usualKeyFile, usualVariables } from "./support/arc-namespace.mjs";
import { runProcess } from "./support/child-program.mjs";
import { acquire, acquireWithoutRetries, NO_RETRIES, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { LogLevel, ManagedIdentityApplication } = require("managed-identity-native");

const SENTENCE = "There was an error.";
const HOUR = 3_600;
const DAY = 24 * HOUR;

const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;
const dateIn = (seconds) => new Date(inSeconds(seconds) * 1000);

/** A JWT with these claims. */
function jwt(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "RS256" })}.${part(claims)}.c2ln`;
}

/** Error bodies, and the parts that the error must contain. */
const ERRORS = {
  "App Service's endpoint of 2017": [
    {
      ExceptionMessage: "AADSTS500011: The resource principal named https://x was not found",
      ErrorCode: "invalid_resource",
      StatusCode: 400,
      Message: null,
      CorrelationId: "8b0b1111",
    },
    {
      errorCode: "invalid_resource",
      correlationId: "8b0b1111",
      parts: [
        "AADSTS500011: The resource principal named https://x was not found",
        "check the resource",
        "8b0b1111",
      ],
    },
  ],
  Automation: [{ Message: SENTENCE }, { parts: [`answered 400: ${SENTENCE}`] }],
  "an unknown format": [{ raw: SENTENCE }, { parts: [`{"raw":"${SENTENCE}"}`] }],
  "upper-case names": [
    { ERROR: { CODE: "Busy", MESSAGE: SENTENCE, CORRELATIONID: "c-1" } },
    { errorCode: "Busy", correlationId: "c-1", parts: [SENTENCE] },
  ],
  "problem details": [
    { type: "about:blank", title: "Forbidden", status: 400, detail: SENTENCE },
    { parts: ["Forbidden", SENTENCE] },
  ],
  "an array of errors": [
    { errors: [{ code: "Busy", message: SENTENCE }] },
    { errorCode: "Busy", parts: [SENTENCE] },
  ],
};
for (const [name, [body, { errorCode, correlationId, parts }]] of Object.entries(ERRORS)) {
  test(`an error has the code, description and ids of the response: ${name}`, async (t) => {
    const endpoint = await startEndpoint(t);
    endpoint.always({ status: 400, body });
    const error = await expectError(
      t,
      acquireWithoutRetries(endpoint),
      errorCode ?? "managed_identity_failed_response",
    );
    for (const part of parts) t.true(error.errorMessage.includes(part), error.errorMessage);
    if (correlationId !== undefined) t.is(error.correlationId, correlationId);
    t.is(error.status, 400);
    t.false("errorNo" in error);
  });
}

/** Acquires a token with msal-node and reports the error. */
async function acquireWithMsal({ require, argument: { env, body }, report }) {
  Object.assign(process.env, env);
  const { ManagedIdentityApplication } = require("@azure/msal-node");
  const application = new ManagedIdentityApplication({ system: { disableInternalRetries: true } });
  const { status, errorNo, errorCode, errorMessage, correlationId } = await application
    .acquireToken({ resource: body })
    .catch((error) => error);
  report({ status, errorNo, errorCode, errorMessage, correlationId });
}

const ENTRA = {
  error: "invalid_request",
  error_description: "AADSTS70021: No matching federated identity record found.",
  error_codes: [70021, 7000222],
  timestamp: "2027-01-15 08:00:00Z",
  trace_id: "t-1",
  correlation_id: "c-1",
};
for (const [name, status, body] of [
  ["numeric codes", 400, ENTRA],
  ["string codes", 401, { ...ENTRA, error_codes: ["70021"] }],
  ["an empty array of codes", 500, { ...ENTRA, error_codes: [] }],
  ["no codes", 403, { error: "denied", error_description: SENTENCE }],
]) {
  test(`status, errorNo and the description equal those of msal-node's ServerError: ${name}`, async (t) => {
    const endpoint = await startEndpoint(t, "imds");
    endpoint.always({ status, body });
    const argument = { env: endpoint.env, body: RESOURCE };
    const [msalError] = await runProcess(t, acquireWithMsal, { argument });
    const error = await expectError(t, acquireWithoutRetries(endpoint), msalError.errorCode);
    t.is(endpoint.requests.length, 2);
    t.is(error.status, msalError.status);
    t.is(error.status, error.statusCode);
    t.is(error.errorNo, msalError.errorNo);
    const expectedParts = [body.error_description, ...(body.error_codes ?? [])];
    if (body.timestamp !== undefined) {
      t.is(error.correlationId, msalError.correlationId);
      expectedParts.push(body.timestamp, body.trace_id, body.correlation_id);
    }
    for (const part of expectedParts) {
      t.true(msalError.errorMessage.includes(part), msalError.errorMessage);
      t.true(error.errorMessage.includes(part), error.errorMessage);
    }
  });
}

test("a timeout error contains the whole description of the last response", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next({ status: 503, body: { message: SENTENCE } });
  endpoint.always({ delay: 60_000 });
  const application = new ManagedIdentityApplication({ system: { retryOptions: { retryDelayInMs: 1 } } });
  // Long enough for the first response and the second request on a busy machine.
  const request = { resource: RESOURCE, timeout: 5_000 };
  const error = await expectError(t, acquire(endpoint, request, application));
  t.is(error.errorCode, "network_unavailable");
  t.true(error.errorMessage.includes(SENTENCE), error.errorMessage);
});

for (const [source, variable] of [
  ["app-service", "IDENTITY_HEADER"],
  ["machine-learning", "MSI_SECRET"],
]) {
  test(`an error response without a description has a remedy: ${source}`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    for (const status of [403, 401]) {
      endpoint.next({ status, body: "" });
      const error = await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_failed_response");
      t.true(error.errorMessage.includes(`The secret in ${variable}`), error.errorMessage);
    }
  });
}

/** Responses with a valid token, and its expected lifetime in seconds. */
const EXPIRIES = {
  "an HTTP date": [{ expires_on: dateIn(HOUR).toUTCString() }, HOUR],
  "an RFC 850 date": [
    {
      expires_on: dateIn(HOUR)
        .toUTCString()
        .replace(/^(\w+), (\d+) (\w+) \d\d(\d\d)/, (_, day, ...date) => {
          const names = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
          return `${names.find((name) => name.startsWith(day))}, ${date.slice(0, 3).join("-")}`;
        }),
    },
    HOUR,
  ],
  "expires_on 0 beside expires_in": [{ expires_on: 0, expires_in: HOUR }, HOUR],
  'expires_on "0" beside expires_in': [{ expires_on: "0", expires_in: String(HOUR) }, HOUR],
  "expires_on -1 beside expires_in": [{ expires_on: -1, expires_in: HOUR }, HOUR],
  "expires_in 0 beside the token's exp": [
    { expires_in: "0", access_token: jwt({ exp: inSeconds(HOUR) }) },
    HOUR,
  ],
  "expires_in 0 beside expires_on": [{ expires_in: 0, expires_on: inSeconds(HOUR) }, HOUR],
  microseconds: [{ expires_on: inSeconds(HOUR) * 1e6 }, HOUR],
  "microseconds in a string": [{ expires_on: `${inSeconds(HOUR)}000000` }, HOUR],
  nanoseconds: [{ expires_on: `${inSeconds(HOUR)}000000000` }, HOUR],
  "expires_in in milliseconds": [{ expires_in: HOUR * 1000 }, 2 * DAY],
  "ten years": [{ expires_on: inSeconds(3650 * DAY) }, 2 * DAY],
  "ten years beside the token's exp": [
    {
      expires_on: inSeconds(3650 * DAY),
      access_token: jwt({ iat: inSeconds(-300), exp: inSeconds(HOUR) }),
    },
    HOUR,
  ],
  "the earlier of two fields": [{ expires_on: inSeconds(DAY + HOUR), expires_in: HOUR }, HOUR],
};
for (const [name, [fields, lifetime]] of Object.entries(EXPIRIES)) {
  test(`the expiry is read and the token is cached: ${name}`, async (t) => {
    const endpoint = await startEndpoint(t);
    const before = Date.now();
    endpoint.always({ body: { access_token: "opaque", ...fields } });
    const { expiresOn } = await acquireWithoutRetries(endpoint);
    // Absolute times were computed when this file was loaded; relative times count from the call.
    const difference = expiresOn - (before + lifetime * 1000);
    t.true(Math.abs(difference) < 120_000, `${difference} ms off`);
    const again = await acquireWithoutRetries(endpoint);
    t.true(again.fromCache);
    t.deepEqual(again.expiresOn, expiresOn);
    t.is(endpoint.requests.length, 1);
  });
}

/** A response of an endpoint whose clock is `behind` seconds behind this host's. */
const skewed = (behind) => ({
  headers: { Date: dateIn(-behind).toUTCString() },
  body: { access_token: "opaque", expires_on: inSeconds(-1), expires_in: DAY - 1 },
});

test("with a clock that is a day ahead, expires_in determines the lifetime, and a warning is logged", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always(skewed(DAY));
  const lines = [];
  const loggerCallback = (level, line) => lines.push([level, line]);
  const system = { loggerOptions: { loggerCallback, logLevel: LogLevel.Warning } };
  const { expiresOn } = await acquireWithoutRetries(endpoint, RESOURCE, { system });
  t.true(Math.abs(expiresOn - dateIn(DAY - 1)) < 120_000, `${expiresOn}`);
  t.true((await acquireWithoutRetries(endpoint)).fromCache);
  t.is(lines.length, 1);
  t.is(lines[0][0], LogLevel.Warning);
  t.regex(lines[0][1], /clock is \d+ s ahead/);
});

test("with a correct clock, the same token is expired", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always(skewed(0));
  const error = await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_failed_response");
  t.true(error.errorMessage.includes("already expired"), error.errorMessage);
});

test("the Date header of a custom client's response is used", async (t) => {
  const endpoint = await startEndpoint(t);
  const send = async () => ({ status: 200, ...skewed(DAY) });
  const networkClient = { sendGetRequestAsync: send, sendPostRequestAsync: send };
  const { accessToken } = await acquireWithoutRetries(endpoint, RESOURCE, { system: { networkClient } });
  t.is(accessToken, "opaque");
});

/** Text that is almost JSON, with a valid token. */
const NEARLY_JSON = {
  NaN: '"x": NaN',
  "-Infinity in an array": '"x": [-Infinity]',
  "1e999": '"not_before": 1e999',
  "1e999 as expiry": '"expires_on": 1e999, "expires_in": 3600',
  "a lone surrogate": '"x": "\\ud83d"',
  "a lone surrogate in a key": '"\\udc00": 1',
  "a control character": '"x": "a\u0001b"',
};
for (const [name, fields] of Object.entries(NEARLY_JSON)) {
  test(`a response that is almost JSON is accepted: ${name}`, async (t) => {
    const endpoint = await startEndpoint(t);
    endpoint.always({ body: `{${fields},"access_token":"opaque"}` });
    t.is((await acquireWithoutRetries(endpoint)).accessToken, "opaque");
    endpoint.always({ status: 400, body: `{${fields},"error":"Busy","error_description":"Half \\ud83d."}` });
    const request = { resource: RESOURCE, forceRefresh: true };
    const error = await expectError(t, acquireWithoutRetries(endpoint, request), "Busy");
    t.true(error.errorMessage.includes("Half \ufffd."), error.errorMessage);
  });
}

const KEY_FILE = usualKeyFile("none.key");

for (const [name, challenge] of Object.entries({
  "two headers, Negotiate first": ["Negotiate", `Basic realm=${KEY_FILE}`],
  "two challenges in one header": `Negotiate, Basic realm=${KEY_FILE}`,
  "a token68 challenge first": `Negotiate YII=, Basic realm="${KEY_FILE}"`,
  "a parameter after the realm": `Basic realm=${KEY_FILE}, charset="UTF-8"`,
  "a parameter before the realm": `Basic charset="UTF-8", realm="${KEY_FILE}"`,
})) {
  test(`Azure Arc's Basic challenge is found: ${name}`, async (t) => {
    const endpoint = await startEndpoint(t, "azure-arc");
    endpoint.always({ status: 401, headers: { "WWW-Authenticate": challenge }, body: "" });
    const env = { ...usualVariables, ...endpoint.env };
    const error = await expectError(t, acquireWithoutRetries({ env }), "unable_to_read_secret_file");
    t.true(error.errorMessage.includes(KEY_FILE), error.errorMessage);
  });
}

test("no content coding is accepted", async (t) => {
  const endpoint = await startEndpoint(t);
  await acquire(endpoint, RESOURCE, new ManagedIdentityApplication(NO_RETRIES));
  t.is(endpoint.requests[0].headers["accept-encoding"], "identity");
});
