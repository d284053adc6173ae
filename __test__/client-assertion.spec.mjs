// The token of a managed identity as a client assertion: the real msal-node and @azure/identity sign in with it at a
// local token endpoint.

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import test from "ava";
import { runProcess } from "./support/child-program.mjs";
import { acquire, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");
const { createCertificate } = require("managed-identity-native/emulator");

const TENANT = "11111111-2222-4333-8444-555555555555";
const CLIENT_ID = "66666666-7777-4888-9999-000000000000";
const AUDIENCE = "api://AzureADTokenExchange";

/** Starts an authority that accepts any client and records the forms that it receives. */
async function startAuthority(t) {
  const certificate = await createCertificate();
  const forms = [];
  const server = createServer(
    { key: certificate.keyPem, cert: certificate.pem },
    async (request, response) => {
      const origin = `https://${request.headers.host}`;
      const respond = (body) => {
        response.writeHead(200, { "Content-Type": "application/json" });
        response.end(JSON.stringify(body));
      };
      if (request.url.includes("openid-configuration")) {
        const base = `${origin}/${TENANT}`;
        respond({
          issuer: `${base}/v2.0`,
          authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
          token_endpoint: `${base}/oauth2/v2.0/token`,
          jwks_uri: `${base}/discovery/v2.0/keys`,
        });
      } else {
        forms.push(Object.fromEntries(new URLSearchParams(await text(request))));
        respond({
          token_type: "Bearer",
          expires_in: 3600,
          access_token: `application token ${forms.length}`,
        });
      }
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const directory = mkdtempSync(join(tmpdir(), "client-assertion-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, "ca.pem");
  writeFileSync(file, certificate.pem);
  return { origin: `https://127.0.0.1:${server.address().port}`, forms, env: { NODE_EXTRA_CA_CERTS: file } };
}

const signIns = {
  "msal-node's ConfidentialClientApplication": async ({ argument, native, require, report }) => {
    const { ConfidentialClientApplication } = require("@azure/msal-node");
    const { origin, tenant, clientId } = argument;
    const application = new ConfidentialClientApplication({
      auth: {
        clientId,
        authority: `${origin}/${tenant}`,
        knownAuthorities: [new URL(origin).host],
        clientAssertion: new native.ManagedIdentityApplication().clientAssertion(),
      },
    });
    const { accessToken } = await application.acquireTokenByClientCredential({
      scopes: ["https://graph.microsoft.com/.default"],
    });
    report(accessToken);
  },
  "@azure/identity's ClientAssertionCredential": async ({ argument, native, require, report }) => {
    const { ClientAssertionCredential } = require("@azure/identity");
    const { origin, tenant, clientId } = argument;
    const getAssertion = new native.ManagedIdentityApplication().clientAssertion(
      "api://AzureADTokenExchange",
    );
    const credential = new ClientAssertionCredential(tenant, clientId, getAssertion, {
      authorityHost: origin,
      disableInstanceDiscovery: true,
    });
    report((await credential.getToken("https://graph.microsoft.com/.default")).token);
  },
};

for (const [name, signIn] of Object.entries(signIns)) {
  test(`${name} signs in with the assertion`, async (t) => {
    const [endpoint, authority] = [await startEndpoint(t), await startAuthority(t)];
    const [token] = await runProcess(t, signIn, {
      argument: { origin: authority.origin, tenant: TENANT, clientId: CLIENT_ID },
      env: { ...endpoint.env, ...authority.env },
    });
    t.is(token, "application token 1");
    const [form] = authority.forms;
    t.is(form.client_id, CLIENT_ID);
    t.is(form.grant_type, "client_credentials");
    t.is(form.client_assertion_type, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    const claims = JSON.parse(Buffer.from(form.client_assertion.split(".")[1], "base64url"));
    t.is(claims.aud, AUDIENCE);
    t.deepEqual(
      endpoint.requests.map(({ query }) => query.resource),
      [AUDIENCE],
    );
  });
}

test("each call returns a valid token, from the cache if possible", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const assertion = application.clientAssertion();
  const callAssertion = () => withEnvironment(endpoint.env, () => assertion());
  const first = await callAssertion();
  t.is(await callAssertion(), first);
  t.is((await acquire(endpoint, AUDIENCE, application)).accessToken, first);
  const { accessToken } = await acquire(endpoint, { resource: AUDIENCE, forceRefresh: true }, application);
  t.is(await callAssertion(), accessToken);
  t.is(endpoint.requests.length, 2);
});

test("an invalid audience rejects when the function is called; clientAssertion itself does not throw", async (t) => {
  const endpoint = await startEndpoint(t);
  const assertion = new ManagedIdentityApplication().clientAssertion("nonsense");
  const error = await expectError(
    t,
    withEnvironment(endpoint.env, () => assertion()),
  );
  t.is(error.errorCode, "invalid_resource");
  t.is(endpoint.requests.length, 0);
});
