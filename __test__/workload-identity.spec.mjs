// Workload identity on AKS: exchanges an assertion from a file for a token of Microsoft Entra, over the internet, with
// the roots and the proxy that the environment names.

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { has, testWith } from "./support/capabilities.mjs";
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

/** A directory that is removed with the test. */
function temporaryDirectory(t) {
  const path = mkdtempSync(join(tmpdir(), "workload-identity-"));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Starts a proxy that supports CONNECT only. `requests` has the target and the credentials of each request. */
async function startProxy(t, rejects = false) {
  const requests = [];
  const sockets = new Set();
  const server = http.createServer((_, response) => {
    requests.push("no CONNECT");
    response.writeHead(405).end();
  });
  server.on("connect", ({ url, headers }, client) => {
    requests.push({ url, authorization: headers["proxy-authorization"] });
    sockets.add(client);
    client.on("error", () => undefined);
    if (rejects) {
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
  return { requests, port: server.address().port, url: `http://127.0.0.1:${server.address().port}` };
}

testWith(test, "extra trust roots")(
  "the token request has the documented form, and its token is cached",
  async (t) => {
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
  },
);

testWith(test, "extra trust roots")(
  "userAssignedClientId takes precedence over AZURE_CLIENT_ID, which may be absent",
  async (t) => {
    const endpoint = await start(t);
    const managedIdentityIdParams = { userAssignedClientId: otherUserAssignedIdentity.clientId };
    for (const AZURE_CLIENT_ID of [endpoint.env.AZURE_CLIENT_ID, undefined]) {
      const env = { ...endpoint.env, AZURE_CLIENT_ID };
      await acquireWith(env, { managedIdentityIdParams }, FORCED);
    }
    for (const { form } of endpoint.requests) t.is(form.client_id, otherUserAssignedIdentity.clientId);
  },
);

test("a resource id and an object id are rejected", async (t) => {
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

testWith(test, "extra trust roots")("tenants and clients do not share tokens", async (t) => {
  const endpoint = await start(t);
  const first = await acquire(endpoint);
  const env = { ...endpoint.env, AZURE_CLIENT_ID: otherUserAssignedIdentity.clientId };
  const second = await acquireWith(env);
  t.false(second.fromCache);
  t.true(first.accessToken !== second.accessToken);
  await expectError(t, acquireWith({ ...endpoint.env, AZURE_TENANT_ID: "other.example" }), "invalid_request");
});

testWith(test, "extra trust roots")(
  "the file is read for each request, because Kubernetes replaces it",
  async (t) => {
    const endpoint = await start(t);
    const file = join(temporaryDirectory(t), "token");
    const env = { ...endpoint.env, AZURE_FEDERATED_TOKEN_FILE: file };
    const assertions = [1, 2].map((hours) => endpoint.issueAssertion({ expiresIn: hours * 3600 }));
    writeFileSync(file, `${assertions[0]}\n`);
    await acquireWith(env, NO_RETRIES, FORCED);
    writeFileSync(file, assertions[1]);
    await acquireWith(env, NO_RETRIES, FORCED);
    const sent = endpoint.requests.map(({ form }) => form.client_assertion);
    t.true(sent[0] === assertions[0] && sent[1] === assertions[1]);
  },
);

testWith(test, "extra trust roots")("a byte order mark before the token is removed", async (t) => {
  const endpoint = await start(t);
  const file = join(temporaryDirectory(t), "token");
  const assertion = endpoint.issueAssertion();
  for (const content of [`\ufeff${assertion}`, `\ufeff${assertion}\r\n`, ` \ufeff ${assertion}`]) {
    writeFileSync(file, content);
    await acquireWith({ ...endpoint.env, AZURE_FEDERATED_TOKEN_FILE: file }, NO_RETRIES, FORCED);
    t.true(endpoint.requests.at(-1).form.client_assertion === assertion);
  }
});

test("an unusable file is an error that names it, without a request", async (t) => {
  const endpoint = await start(t);
  const path = temporaryDirectory(t);
  const createFile = (name, content) => {
    writeFileSync(join(path, name), content);
    return join(path, name);
  };
  for (const file of [
    join(path, "none"),
    path,
    createFile("empty", ""),
    createFile("blank", " \n"),
    createFile("large", "x".repeat(100_000)),
    createFile("binary", Buffer.from([0xff, 0xfe])),
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
  testWith(test, "extra trust roots")(
    `${code} has the service's description${remedy ? " and a remedy" : ""}`,
    async (t) => {
      const endpoint = await start(t);
      const file = join(temporaryDirectory(t), "token");
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
    },
  );
}

testWith(test, "extra trust roots")("AADSTS700016 has a remedy", async (t) => {
  const endpoint = await start(t);
  const env = { ...endpoint.env, AZURE_CLIENT_ID: "00000000-0000-0000-0000-000000000000" };
  const error = await expectError(t, acquireWith(env), "unauthorized_client");
  t.true(error.message.includes("AADSTS700016") && error.message.includes("AZURE_CLIENT_ID and"));
});

testWith(test, "extra trust roots")("AADSTS70021 has a remedy", async (t) => {
  const endpoint = await start(t);
  const description = "AADSTS70021: No matching federated identity record found for presented assertion.";
  endpoint.always({ status: 401, body: { error: "invalid_request", error_description: description } });
  const error = await expectError(t, acquireWithoutRetries(endpoint), "invalid_request");
  t.true(error.message.includes("federated credential"), error.message);
});

testWith(test, "extra trust roots")("AADSTS500011 has a remedy", async (t) => {
  const endpoint = await start(t, { resources: ["https://known.example"] });
  const error = await expectError(t, acquireWithoutRetries(endpoint), "invalid_resource");
  t.true(error.message.includes("check the resource"), error.message);
});

test("a certificate from an unknown authority is rejected before anything is sent", async (t) => {
  const endpoint = await start(t);
  const { NODE_EXTRA_CA_CERTS: _, ...env } = endpoint.env;
  const error = await expectError(t, acquireWith(env), "managed_identity_unreachable_network");
  t.true(error.message.includes("NODE_EXTRA_CA_CERTS"), error.message);
  t.false(error.retryable);
  t.true(error.cause instanceof Error);
  t.deepEqual(endpoint.requests, []);
});

test("a certificate with another name or that has expired is rejected", async (t) => {
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

// If another root verifies the server, the call succeeds; see tls-trust.spec.mjs.
testWith(test, "extra trust roots")(
  "an unreadable file in NODE_EXTRA_CA_CERTS is named in the error if no root verifies the server",
  async (t) => {
    const endpoint = await start(t);
    const empty = join(temporaryDirectory(t), "ca.pem");
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
  },
);

for (const [variable, own] of [
  ["HTTPS_PROXY", {}],
  ["https_proxy", {}],
  ["https_proxy", { HTTPS_PROXY: "http://127.0.0.1:1" }],
]) {
  const capabilities = ["extra trust roots", ...(own.HTTPS_PROXY ? ["case-sensitive variables"] : [])];
  testWith(test, ...capabilities)(
    `the proxy in ${variable} is used${own.HTTPS_PROXY ? " and takes precedence" : ""}`,
    async (t) => {
      const endpoint = await start(t);
      const proxy = await startProxy(t);
      t.false((await acquireWith({ ...endpoint.env, ...own, [variable]: proxy.url })).fromCache);
      t.deepEqual(proxy.requests, [
        { url: endpoint.origin.replace("https://", ""), authorization: undefined },
      ]);
      t.is(endpoint.requests.length, 1);
    },
  );
}

testWith(test, "extra trust roots")(
  "the user and password of a proxy are sent only to the proxy",
  async (t) => {
    const endpoint = await start(t);
    const proxy = await startProxy(t);
    const HTTPS_PROXY = proxy.url.replace("http://", "http://user:pass@");
    await acquireWith({ ...endpoint.env, HTTPS_PROXY });
    const expected = `Basic ${Buffer.from("user:pass").toString("base64")}`;
    t.is(proxy.requests[0].authorization, expected);
    t.false("proxy-authorization" in endpoint.requests[0].headers);
  },
);

for (const [host, NO_PROXY] of [
  ["127.0.0.1", "127.0.0.1"],
  ["127.0.0.1", "elsewhere.example, 127.0.0.1"],
  ["127.0.0.1", "127.0.0.0/8"],
  ["127.0.0.1", "*"],
  ["localhost", "localhost"],
  ["localhost", "*"],
]) {
  for (const variable of ["NO_PROXY", "no_proxy"]) {
    testWith(test, "extra trust roots")(`${variable}=${NO_PROXY} applies to ${host}`, async (t) => {
      const endpoint = await start(t);
      const proxy = await startProxy(t);
      const AZURE_AUTHORITY_HOST = endpoint.origin.replace("127.0.0.1", host);
      await acquireWith({
        ...endpoint.env,
        AZURE_AUTHORITY_HOST,
        HTTPS_PROXY: proxy.url,
        [variable]: NO_PROXY,
      });
      t.deepEqual(proxy.requests, []);
      t.is(endpoint.requests.length, 1);
    });
  }
}

test("a proxy that is not an http(s) URL is an error that names the variable, and is not bypassed", async (t) => {
  const endpoint = await start(t);
  const proxy = await startProxy(t);
  const variables = has("case-sensitive variables") ? ["HTTPS_PROXY", "https_proxy"] : ["HTTPS_PROXY"];
  for (const variable of variables) {
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
      // On Windows the message may have the other spelling of the variable.
      const isNamed = new RegExp(variable, has("case-sensitive variables") ? "" : "i").test(error.message);
      t.true(isNamed && !error.message.includes(value), error.message);
      const { available, reason } = await withEnvironment({ ...endpoint.env, [variable]: value }, () =>
        new ManagedIdentityApplication().isAvailable(),
      );
      t.true(!available && error.message.endsWith(reason), reason);
    }
  }
  t.deepEqual([proxy.requests, endpoint.requests], [[], []]);
});

testWith(test, "extra trust roots")("NO_PROXY of another host has no effect", async (t) => {
  const endpoint = await start(t);
  const proxy = await startProxy(t);
  await acquireWith({ ...endpoint.env, HTTPS_PROXY: proxy.url, NO_PROXY: "elsewhere.example,10.0.0.0/8" });
  t.is(proxy.requests.length, 1);
});

testWith(test, "extra trust roots")(
  "a proxy that rejects the request or is unreachable is an unreachable network",
  async (t) => {
    const endpoint = await start(t);
    const proxy = await startProxy(t, true);
    for (const HTTPS_PROXY of [proxy.url, "http://127.0.0.1:1"]) {
      await expectError(
        t,
        acquireWith({ ...endpoint.env, HTTPS_PROXY }),
        "managed_identity_unreachable_network",
      );
    }
    t.is(proxy.requests.length, 1);
    t.deepEqual(endpoint.requests, []);
  },
);

test("no other source uses a proxy", async (t) => {
  const proxy = await startProxy(t);
  const names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
  const proxies = Object.fromEntries(names.map((name) => [name, proxy.url]));
  for (const source of ["app-service", "imds", "machine-learning", "cloud-shell", "service-fabric"]) {
    const endpoint = await startEndpoint(t, source);
    await acquireWith({ ...endpoint.env, ...proxies });
    t.is(endpoint.requests.length, 1);
  }
  t.deepEqual(proxy.requests, []);
});

testWith(test, "extra trust roots")(
  "the environment is read in each call: a proxy that is set later is used",
  async (t) => {
    const endpoint = await start(t);
    const proxy = await startProxy(t);
    await acquireWith(endpoint.env, NO_RETRIES, FORCED);
    await acquireWith({ ...endpoint.env, HTTPS_PROXY: proxy.url }, NO_RETRIES, FORCED);
    t.is(proxy.requests.length, 1);
    await acquireWith(endpoint.env, NO_RETRIES, FORCED);
    t.is(proxy.requests.length, 1);
    t.is(endpoint.requests.length, 3);
  },
);
