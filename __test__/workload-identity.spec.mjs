// A workload identity on AKS: an assertion from a file for a token of Entra's, over the internet, with the
// roots and the proxy that the environment names.

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { acquire, acquireWithoutRetries, NO_RETRIES, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");
const {
  otherUserAssignedIdentity,
  tenantId,
  userAssignedIdentity,
} = require("managed-identity-native/emulator");

const FORCED = { resource: RESOURCE, forceRefresh: true };

function start(t, options) {
  return startEndpoint(t, "workload-identity", options);
}

function acquireWith(env, configuration = NO_RETRIES, request = RESOURCE) {
  return withEnvironment(env, () => new ManagedIdentityApplication(configuration).acquireToken(request));
}

/** A folder that goes with the test. */
function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "workload-identity-"));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A proxy that knows CONNECT only; `asked` holds the target and the credentials of each request. */
async function startProxy(t, refuse = false) {
  const asked = [];
  const sockets = new Set();
  const server = http.createServer((_, response) => {
    asked.push("no CONNECT");
    response.writeHead(405).end();
  });
  server.on("connect", ({ url, headers }, client) => {
    asked.push({ url, authorization: headers["proxy-authorization"] });
    sockets.add(client);
    client.on("error", () => undefined);
    if (refuse) {
      client.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    const { hostname, port } = new URL(`http://${url}`);
    const upstream = net.connect({ host: hostname, port }, () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.pipe(client).pipe(upstream);
    });
    sockets.add(upstream);
    upstream.on("error", () => client.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { asked, port: server.address().port, url: `http://127.0.0.1:${server.address().port}` };
}

test("the request, and the token it brings", async (t) => {
  const endpoint = await start(t);
  const { scopes, expiresOn, refreshOn } = await acquire(endpoint, `${RESOURCE}/.default`);
  t.deepEqual(scopes, [RESOURCE]);
  t.true(expiresOn > refreshOn);
  const [{ method, path, query, headers, form }] = endpoint.requests;
  t.is(method, "POST");
  t.is(path, `/${tenantId}/oauth2/v2.0/token`);
  t.deepEqual(query, {});
  t.is(headers["content-type"], "application/x-www-form-urlencoded");
  const { client_assertion: assertion, ...rest } = form;
  t.is(assertion.split(".").length, 3);
  t.deepEqual(rest, {
    grant_type: "client_credentials",
    client_id: userAssignedIdentity.clientId,
    scope: `${RESOURCE}/.default`,
    client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
  });
  t.true((await acquire(endpoint)).fromCache);
  t.is(endpoint.requests.length, 1);
});

test("an application's client id wins over AZURE_CLIENT_ID, and does without it", async (t) => {
  const endpoint = await start(t);
  const managedIdentityIdParams = { userAssignedClientId: otherUserAssignedIdentity.clientId };
  for (const AZURE_CLIENT_ID of [endpoint.env.AZURE_CLIENT_ID, undefined]) {
    const env = { ...endpoint.env, AZURE_CLIENT_ID };
    await acquireWith(env, { managedIdentityIdParams }, FORCED);
  }
  for (const { form } of endpoint.requests) t.is(form.client_id, otherUserAssignedIdentity.clientId);
});

test("a resource id and an object id cannot be used", async (t) => {
  const endpoint = await start(t);
  for (const [option, id] of [
    ["userAssignedResourceId", userAssignedIdentity.resourceId],
    ["userAssignedObjectId", userAssignedIdentity.objectId],
  ]) {
    const call = acquireWithoutRetries(endpoint, RESOURCE, { managedIdentityIdParams: { [option]: id } });
    const error = await expectError(t, call, "invalid_managed_identity_id_type");
    t.is(error.source, "WorkloadIdentity");
    t.true(error.message.includes("userAssignedClientId"), error.message);
  }
  t.deepEqual(endpoint.requests, []);
});

test("tenants and clients do not share tokens", async (t) => {
  const endpoint = await start(t);
  const first = await acquire(endpoint);
  const env = { ...endpoint.env, AZURE_CLIENT_ID: otherUserAssignedIdentity.clientId };
  const second = await acquireWith(env);
  t.false(second.fromCache);
  t.true(first.accessToken !== second.accessToken);
  await expectError(t, acquireWith({ ...endpoint.env, AZURE_TENANT_ID: "other.example" }), "invalid_request");
});

test("the file is read anew for each request: Kubernetes replaces it", async (t) => {
  const endpoint = await start(t);
  const file = join(folder(t), "token");
  const env = { ...endpoint.env, AZURE_FEDERATED_TOKEN_FILE: file };
  const assertions = [1, 2].map((hours) => endpoint.issueAssertion({ expiresIn: hours * 3600 }));
  writeFileSync(file, `${assertions[0]}\n`);
  await acquireWith(env, NO_RETRIES, FORCED);
  writeFileSync(file, assertions[1]);
  await acquireWith(env, NO_RETRIES, FORCED);
  const sent = endpoint.requests.map(({ form }) => form.client_assertion);
  t.true(sent[0] === assertions[0] && sent[1] === assertions[1]);
});

test("a byte order mark before the token does not go along", async (t) => {
  const endpoint = await start(t);
  const file = join(folder(t), "token");
  const assertion = endpoint.issueAssertion();
  for (const content of [`\ufeff${assertion}`, `\ufeff${assertion}\r\n`, ` \ufeff ${assertion}`]) {
    writeFileSync(file, content);
    await acquireWith({ ...endpoint.env, AZURE_FEDERATED_TOKEN_FILE: file }, NO_RETRIES, FORCED);
    t.true(endpoint.requests.at(-1).form.client_assertion === assertion);
  }
});

test("a file of no use is an error that names it, before any request", async (t) => {
  const endpoint = await start(t);
  const path = folder(t);
  const make = (name, content) => {
    writeFileSync(join(path, name), content);
    return join(path, name);
  };
  for (const file of [
    join(path, "none"),
    path,
    make("empty", ""),
    make("blank", " \n"),
    make("large", "x".repeat(100_000)),
    make("binary", Buffer.from([0xff, 0xfe])),
  ]) {
    const call = acquireWith({ ...endpoint.env, AZURE_FEDERATED_TOKEN_FILE: file });
    const error = await expectError(t, call, "unable_to_read_secret_file", file);
    t.true(error.message.includes(file) && error.message.includes("AZURE_FEDERATED_TOKEN_FILE"));
    t.is(error.attempts, 0);
  }
  t.deepEqual(endpoint.requests, []);
});

for (const [code, overrides, remedy] of [
  ["AADSTS700211", { issuer: "https://elsewhere.example/" }, "OIDC issuer"],
  ["AADSTS700213", { subject: "system:serviceaccount:default:other" }, undefined],
  ["AADSTS700212", { audience: "api://elsewhere" }, undefined],
  ["AADSTS700024", { expiresIn: -60 }, undefined],
]) {
  test(`${code}${remedy ? ", with its remedy" : ""}`, async (t) => {
    const endpoint = await start(t);
    const file = join(folder(t), "token");
    const assertion = endpoint.issueAssertion(overrides);
    writeFileSync(file, assertion);
    const call = acquireWith({ ...endpoint.env, AZURE_FEDERATED_TOKEN_FILE: file });
    const error = await expectError(t, call, "invalid_client");
    t.is(error.statusCode, 401);
    t.is(error.source, "WorkloadIdentity");
    t.is(error.endpoint, endpoint.url);
    t.true(error.message.includes(code), error.message);
    if (remedy) t.true(error.message.includes(remedy), error.message);
    t.true(error.message.includes(error.correlationId) && /trace id/.test(error.message));
    t.false(error.message.includes(assertion) || error.stack.includes(assertion));
  });
}

test("AADSTS700016, with its remedy", async (t) => {
  const endpoint = await start(t);
  const env = { ...endpoint.env, AZURE_CLIENT_ID: "00000000-0000-0000-0000-000000000000" };
  const error = await expectError(t, acquireWith(env), "unauthorized_client");
  t.true(error.message.includes("AADSTS700016") && error.message.includes("AZURE_CLIENT_ID and"));
});

test("AADSTS70021, with its remedy", async (t) => {
  const endpoint = await start(t);
  const words = "AADSTS70021: No matching federated identity record found for presented assertion.";
  endpoint.always({ status: 401, body: { error: "invalid_request", error_description: words } });
  const error = await expectError(t, acquireWithoutRetries(endpoint), "invalid_request");
  t.true(error.message.includes("federated credential"), error.message);
});

test("AADSTS500011, with its remedy", async (t) => {
  const endpoint = await start(t, { resources: ["https://known.example"] });
  const error = await expectError(t, acquireWithoutRetries(endpoint), "invalid_resource");
  t.true(error.message.includes("check the audience"), error.message);
});

test("a certificate that nobody vouches for is refused, before anything is sent", async (t) => {
  const endpoint = await start(t);
  const { NODE_EXTRA_CA_CERTS: _, ...env } = endpoint.env;
  const error = await expectError(t, acquireWith(env), "managed_identity_unreachable_network");
  t.true(error.message.includes("NODE_EXTRA_CA_CERTS"), error.message);
  t.false(error.retryable);
  t.true(error.cause instanceof Error);
  t.deepEqual(endpoint.requests, []);
});

test("a certificate of another name, or one that expired, is refused", async (t) => {
  for (const certificate of [
    { names: ["elsewhere.example"] },
    { names: [] },
    { notBefore: new Date(Date.now() - 2e9), notAfter: new Date(Date.now() - 1e9) },
  ]) {
    const endpoint = await start(t, { certificate });
    await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_unreachable_network");
    t.deepEqual(endpoint.requests, []);
  }
});

// Where other roots vouch for the server it works all the same: see tls-trust.spec.mjs.
test("NODE_EXTRA_CA_CERTS that cannot be read is named if nothing else vouches for the server", async (t) => {
  const endpoint = await start(t);
  const empty = join(folder(t), "ca.pem");
  writeFileSync(empty, "");
  for (const NODE_EXTRA_CA_CERTS of ["/none/ca.pem", empty]) {
    const lines = [];
    const loggerOptions = { loggerCallback: (level, line) => lines.push([level, line]) };
    const call = acquireWith(
      { ...endpoint.env, NODE_EXTRA_CA_CERTS },
      { system: { ...NO_RETRIES.system, loggerOptions } },
    );
    const error = await expectError(t, call, "managed_identity_unreachable_network");
    t.true(error.message.includes(NODE_EXTRA_CA_CERTS), error.message);
    t.is(lines.filter(([level, line]) => level === 1 && line.includes(NODE_EXTRA_CA_CERTS)).length, 1);
  }
  t.deepEqual(endpoint.requests, []);
});

for (const [variable, own] of [
  ["HTTPS_PROXY", {}],
  ["https_proxy", {}],
  ["https_proxy", { HTTPS_PROXY: "http://127.0.0.1:1" }],
]) {
  test(`the proxy of ${variable} is used${own.HTTPS_PROXY ? ", which wins" : ""}`, async (t) => {
    const endpoint = await start(t);
    const proxy = await startProxy(t);
    t.false((await acquireWith({ ...endpoint.env, ...own, [variable]: proxy.url })).fromCache);
    t.deepEqual(proxy.asked, [{ url: endpoint.origin.replace("https://", ""), authorization: undefined }]);
    t.is(endpoint.requests.length, 1);
  });
}

test("a proxy's user and password go to the proxy only", async (t) => {
  const endpoint = await start(t);
  const proxy = await startProxy(t);
  const HTTPS_PROXY = proxy.url.replace("http://", "http://user:pass@");
  await acquireWith({ ...endpoint.env, HTTPS_PROXY });
  const expected = `Basic ${Buffer.from("user:pass").toString("base64")}`;
  t.is(proxy.asked[0].authorization, expected);
  t.false("proxy-authorization" in endpoint.requests[0].headers);
});

for (const [host, NO_PROXY] of [
  ["127.0.0.1", "127.0.0.1"],
  ["127.0.0.1", "elsewhere.example, 127.0.0.1"],
  ["127.0.0.1", "127.0.0.0/8"],
  ["127.0.0.1", "*"],
  ["localhost", "localhost"],
  ["localhost", "*"],
]) {
  for (const variable of ["NO_PROXY", "no_proxy"]) {
    test(`${variable}=${NO_PROXY} is honoured for ${host}`, async (t) => {
      const endpoint = await start(t);
      const proxy = await startProxy(t);
      const AZURE_AUTHORITY_HOST = endpoint.origin.replace("127.0.0.1", host);
      await acquireWith({
        ...endpoint.env,
        AZURE_AUTHORITY_HOST,
        HTTPS_PROXY: proxy.url,
        [variable]: NO_PROXY,
      });
      t.deepEqual(proxy.asked, []);
      t.is(endpoint.requests.length, 1);
    });
  }
}

test("a proxy that is not an http(s) URL is named, and not passed by", async (t) => {
  const endpoint = await start(t);
  const proxy = await startProxy(t);
  for (const variable of ["HTTPS_PROXY", "https_proxy"]) {
    for (const value of [
      `"${proxy.url}"`,
      `'${proxy.url}'`,
      proxy.url.replace("http:", "htp:"),
      proxy.url.replace("http:", "ftp:"),
      proxy.url.replace("http:", "socks5:"),
      proxy.url.replace("http://", ""),
      "nonsense",
    ]) {
      const error = await expectError(
        t,
        acquireWith({ ...endpoint.env, [variable]: value }),
        "invalid_configuration",
        value,
      );
      t.true(error.message.includes(variable) && !error.message.includes(value), error.message);
      const { available, reason } = await withEnvironment({ ...endpoint.env, [variable]: value }, () =>
        new ManagedIdentityApplication().isAvailable(),
      );
      t.true(!available && reason.includes(variable), reason);
    }
  }
  t.deepEqual([proxy.asked, endpoint.requests], [[], []]);
});

test("NO_PROXY of another host changes nothing", async (t) => {
  const endpoint = await start(t);
  const proxy = await startProxy(t);
  await acquireWith({ ...endpoint.env, HTTPS_PROXY: proxy.url, NO_PROXY: "elsewhere.example,10.0.0.0/8" });
  t.is(proxy.asked.length, 1);
});

test("a proxy that refuses, or is not there, is an unreachable network", async (t) => {
  const endpoint = await start(t);
  const proxy = await startProxy(t, true);
  for (const HTTPS_PROXY of [proxy.url, "http://127.0.0.1:1"]) {
    await expectError(
      t,
      acquireWith({ ...endpoint.env, HTTPS_PROXY }),
      "managed_identity_unreachable_network",
    );
  }
  t.is(proxy.asked.length, 1);
  t.deepEqual(endpoint.requests, []);
});

test("no other source ever uses a proxy", async (t) => {
  const proxy = await startProxy(t);
  const names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
  const proxies = Object.fromEntries(names.map((name) => [name, proxy.url]));
  for (const source of ["app-service", "imds", "machine-learning", "cloud-shell", "service-fabric"]) {
    const endpoint = await startEndpoint(t, source);
    await acquireWith({ ...endpoint.env, ...proxies });
    t.is(endpoint.requests.length, 1);
  }
  t.deepEqual(proxy.asked, []);
});

test("the environment is the call's own: a proxy that appears later is used", async (t) => {
  const endpoint = await start(t);
  const proxy = await startProxy(t);
  await acquireWith(endpoint.env, NO_RETRIES, FORCED);
  await acquireWith({ ...endpoint.env, HTTPS_PROXY: proxy.url }, NO_RETRIES, FORCED);
  t.is(proxy.asked.length, 1);
  await acquireWith(endpoint.env, NO_RETRIES, FORCED);
  t.is(proxy.asked.length, 1);
  t.is(endpoint.requests.length, 3);
});
