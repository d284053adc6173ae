// A server that repeats the secret header in various encodings: no error, cause, log line, event or doctor report
// reveals eight consecutive characters of it.

import { channel } from "node:diagnostics_channel";
import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { inspect } from "node:util";
import test from "ava";
import { run } from "./support/command-line.mjs";
import { encodings, reveals } from "./support/encodings.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { LogLevel, ManagedIdentityApplication } = require("managed-identity-native");

const KEY = "pS7+kQ/9zLmW3xTb5Y==";
const TOKEN = "Opaque_Token.Without+Shape/0123456789";
const MARK = "<redacted>";
const FORMS = {
  text: (repeated) => repeated,
  JSON: (repeated) =>
    JSON.stringify({ error: "denied", error_description: repeated, correlation_id: repeated }),
  "nested JSON": (repeated) => JSON.stringify({ error: { code: repeated, message: repeated } }),
};

/** Starts a server that responds with `respond(secret)`, as `[status, body]`; returns the variables that lead to it. */
async function startServer(t, secret, respond) {
  const server = createServer((request, response) => {
    const [status, body] = respond(request.headers["x-identity-header"]);
    response.writeHead(status, { "content-type": "text/plain" }).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const endpoint = `http://127.0.0.1:${server.address().port}/msi/token`;
  return { IDENTITY_ENDPOINT: endpoint, IDENTITY_HEADER: secret };
}

/** Records everything that a process can observe of an application. */
function observeAll(t) {
  const observed = [];
  for (const name of ["acquire:start", "acquire:end", "request", "retry", "refresh"]) {
    const subscriber = (message) => observed.push(inspect(message, { depth: 10, showHidden: true }));
    channel(`managed-identity-native:${name}`).subscribe(subscriber);
    t.teardown(() => channel(`managed-identity-native:${name}`).unsubscribe(subscriber));
  }
  const loggerCallback = (_, line) => observed.push(line);
  const loggerOptions = { loggerCallback, logLevel: LogLevel.Trace, piiLoggingEnabled: true };
  return { observed, loggerOptions };
}

for (const [form, write] of Object.entries(FORMS)) {
  test.serial(`the secret header is redacted in every encoding, as ${form}`, async (t) => {
    const all = encodings(KEY);
    t.true(all.length >= 180);
    let repeated;
    const env = await startServer(t, KEY, (secret) => {
      t.is(secret, KEY);
      return [400, write(`got ${repeated} from you`)];
    });
    const { observed, loggerOptions } = observeAll(t);
    const application = new ManagedIdentityApplication({ system: { loggerOptions } });
    for (const [name, encoded] of all) {
      repeated = encoded;
      const error = await expectError(
        t,
        withEnvironment(env, () => application.acquireToken("https://vault.azure.net")),
      );
      t.true(error.errorMessage.includes(MARK), `${name}: ${error.errorMessage}`);
      const visible = inspect(error, { depth: 10, showHidden: true, maxStringLength: null });
      t.false(reveals(visible, KEY), `${name}: ${visible}`);
    }
    while (observed.length < 4 * all.length) await new Promise((resolve) => setImmediate(resolve));
    t.false(reveals(observed.join("\n"), KEY));
  });
}

test.serial("an earlier token is redacted in every encoding", async (t) => {
  let repeated;
  const env = await startServer(t, KEY, () => [400, ""]);
  // A custom client may have stored the token.
  const sendGetRequestAsync = async () => {
    if (repeated !== undefined) throw new Error(`failed: got ${repeated} from you`);
    return { status: 200, headers: {}, body: { access_token: TOKEN, expires_in: 86_400 } };
  };
  const networkClient = { sendGetRequestAsync, sendPostRequestAsync: sendGetRequestAsync };
  const rejecting = new ManagedIdentityApplication({
    system: { networkClient, disableInternalRetries: true },
  });
  const resource = "https://vault.azure.net/earlier";
  await withEnvironment(env, () => rejecting.acquireToken(resource));
  for (const [name, encoded] of encodings(TOKEN)) {
    repeated = encoded;
    const error = await expectError(
      t,
      withEnvironment(env, () => rejecting.acquireToken({ resource, forceRefresh: true })),
    );
    t.true(error.cause.message.includes(MARK), `${name}: ${error.errorMessage}`);
    const visible = inspect(error, { depth: 10, showHidden: true, maxStringLength: null });
    t.false(reveals(visible, TOKEN), `${name}: ${visible}`);
  }
});

test("the doctor redacts the secret header in every encoding", async (t) => {
  const all = encodings(KEY).map(([, encoded]) => encoded);
  const queue = [];
  const env = await startServer(t, KEY, () => [400, FORMS.JSON(queue.join(" | "))]);
  const batchSize = 20;
  for (let from = 0; from < all.length; from += batchSize) {
    queue.splice(0, queue.length, ...all.slice(from, from + batchSize));
    for (const args of from % (2 * batchSize) === 0 ? [["--json"]] : [[]]) {
      const { stdout, stderr } = await run(t, ["doctor", "--timeout", "60000", ...args], { env });
      t.true(stdout.includes(MARK), stdout);
      t.false(reveals(stdout + stderr, KEY), stdout);
    }
  }
});

test("the doctor redacts a secret in the claims of a token and in the endpoint", async (t) => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = {
    aud: "https://vault.azure.net",
    oid: encodeURIComponent(KEY),
    roles: ["Reader", `x${KEY}`],
  };
  const token = `${part({ alg: "none" })}.${part(claims)}.c2lnbmF0dXJl`;
  const env = await startServer(t, KEY, () => [
    200,
    JSON.stringify({ access_token: token, expires_in: 3600 }),
  ]);
  const withKeyInUrl = { ...env, IDENTITY_ENDPOINT: `${env.IDENTITY_ENDPOINT}/${encodeURIComponent(KEY)}` };
  const { stdout } = await run(t, ["doctor", "--json", "--timeout", "60000"], { env: withKeyInUrl });
  const report = JSON.parse(stdout);
  t.deepEqual(report.token.claims, {
    aud: "https://vault.azure.net",
    oid: MARK,
    roles: ["Reader", `x${MARK}`],
  });
  t.false(reveals(stdout, KEY), stdout);
});
