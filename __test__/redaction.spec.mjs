// A server that repeats the secret header, in whatever encoding: no error, no cause, no line of a log, no event and no
// report of the doctor reveals eight characters of it.

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
  text: (said) => said,
  JSON: (said) => JSON.stringify({ error: "denied", error_description: said, correlation_id: said }),
  "nested JSON": (said) => JSON.stringify({ error: { code: said, message: said } }),
};

/** A server whose answers are what `answer(secret)` gives: `[status, body]`; and the variables that lead to it. */
async function startServer(t, secret, answer) {
  const server = createServer((request, response) => {
    const [status, body] = answer(request.headers["x-identity-header"]);
    response.writeHead(status, { "content-type": "text/plain" }).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const endpoint = `http://127.0.0.1:${server.address().port}/msi/token`;
  return { IDENTITY_ENDPOINT: endpoint, IDENTITY_HEADER: secret };
}

/** All that a process can hear of an application. */
function listen(t) {
  const heard = [];
  for (const name of ["acquire:start", "acquire:end", "request", "retry", "refresh"]) {
    const subscriber = (message) => heard.push(inspect(message, { depth: 10, showHidden: true }));
    channel(`managed-identity-native:${name}`).subscribe(subscriber);
    t.teardown(() => channel(`managed-identity-native:${name}`).unsubscribe(subscriber));
  }
  const loggerCallback = (_, line) => heard.push(line);
  const loggerOptions = { loggerCallback, logLevel: LogLevel.Trace, piiLoggingEnabled: true };
  return { heard, loggerOptions };
}

for (const [form, write] of Object.entries(FORMS)) {
  test.serial(`no encoding of the secret header is repeated, as ${form}`, async (t) => {
    const all = encodings(KEY);
    t.true(all.length >= 180);
    let said;
    const env = await startServer(t, KEY, (secret) => {
      t.is(secret, KEY);
      return [400, write(`got ${said} from you`)];
    });
    const { heard, loggerOptions } = listen(t);
    const application = new ManagedIdentityApplication({ system: { loggerOptions } });
    for (const [name, encoded] of all) {
      said = encoded;
      const error = await expectError(
        t,
        withEnvironment(env, () => application.acquireToken("https://vault.azure.net")),
      );
      t.true(error.errorMessage.includes(MARK), `${name}: ${error.errorMessage}`);
      const shown = inspect(error, { depth: 10, showHidden: true, maxStringLength: null });
      t.false(reveals(shown, KEY), `${name}: ${shown}`);
    }
    while (heard.length < 4 * all.length) await new Promise((resolve) => setImmediate(resolve));
    t.false(reveals(heard.join("\n"), KEY));
  });
}

test.serial("no encoding of the earlier token is repeated", async (t) => {
  let said;
  const env = await startServer(t, KEY, () => [400, ""]);
  // A caller's client hears nothing of the token from this package, but may have kept it.
  const sendGetRequestAsync = async () => {
    if (said !== undefined) throw new Error(`failed: got ${said} from you`);
    return { status: 200, headers: {}, body: { access_token: TOKEN, expires_in: 86_400 } };
  };
  const networkClient = { sendGetRequestAsync, sendPostRequestAsync: sendGetRequestAsync };
  const rejecting = new ManagedIdentityApplication({
    system: { networkClient, disableInternalRetries: true },
  });
  const resource = "https://vault.azure.net/earlier";
  await withEnvironment(env, () => rejecting.acquireToken(resource));
  for (const [name, encoded] of encodings(TOKEN)) {
    said = encoded;
    const error = await expectError(
      t,
      withEnvironment(env, () => rejecting.acquireToken({ resource, forceRefresh: true })),
    );
    t.true(error.cause.message.includes(MARK), `${name}: ${error.errorMessage}`);
    const shown = inspect(error, { depth: 10, showHidden: true, maxStringLength: null });
    t.false(reveals(shown, TOKEN), `${name}: ${shown}`);
  }
});

test("the doctor repeats no encoding of the secret header", async (t) => {
  const all = encodings(KEY).map(([, encoded]) => encoded);
  const queue = [];
  const env = await startServer(t, KEY, () => [400, FORMS.JSON(queue.join(" | "))]);
  const each = 20;
  for (let from = 0; from < all.length; from += each) {
    queue.splice(0, queue.length, ...all.slice(from, from + each));
    for (const args of from % (2 * each) === 0 ? [["--json"]] : [[]]) {
      const { stdout, stderr } = await run(t, ["doctor", "--timeout", "60000", ...args], { env });
      t.true(stdout.includes(MARK), stdout);
      t.false(reveals(stdout + stderr, KEY), stdout);
    }
  }
});

test("a secret in the claims of a token, and in the address, is not shown by the doctor", async (t) => {
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
  const within = { ...env, IDENTITY_ENDPOINT: `${env.IDENTITY_ENDPOINT}/${encodeURIComponent(KEY)}` };
  const { stdout } = await run(t, ["doctor", "--json", "--timeout", "60000"], { env: within });
  const report = JSON.parse(stdout);
  t.deepEqual(report.token.claims, {
    aud: "https://vault.azure.net",
    oid: MARK,
    roles: ["Reader", `x${MARK}`],
  });
  t.false(reveals(stdout, KEY), stdout);
});
