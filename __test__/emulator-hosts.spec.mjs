// Where an endpoint listens, under which names clients may contact it, and that requests of web pages are refused. A real
// browser tries it in browser/rebinding.test.mjs, which `npm run ci:full` runs.

import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import net from "node:net";
import tls from "node:tls";
import test from "ava";
import { externalAddress, testWith } from "./support/capabilities.mjs";
import { acquireWithoutRetries, startEndpoint } from "./support/endpoint.mjs";
import { tokenRequest } from "./support/page-attack.mjs";

const require = createRequire(import.meta.url);
const { azureCliTokens, sources, startEmulator } = require("managed-identity-native/emulator");

const SECRET = "0123456789abcdef";
const SECURE = ["service-fabric", "workload-identity"];
const WITH_SECRET = ["app-service", "machine-learning", "service-fabric"];

/** Sends a request, by default a valid one for a token, and returns the status and the body. A header that is undefined is left out. */
async function send(endpoint, { headers = {}, address = "127.0.0.1", ...changes } = {}) {
  const request = tokenRequest(endpoint.source, endpoint);
  const { protocol, port } = new URL(endpoint.origin);
  const { body, ...options } = { ...request, ...changes };
  const sent = Object.entries({ ...request.headers, ...headers }).filter(([, value]) => value !== undefined);
  const outgoing = (protocol === "https:" ? https : http).request({
    ...options,
    host: address,
    port,
    headers: Object.fromEntries(sent),
    rejectUnauthorized: false,
  });
  outgoing.end(body);
  const [response] = await once(outgoing, "response");
  const chunks = await response.toArray();
  return { status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() };
}

for (const source of sources) {
  const accepted = source === "azure-arc" ? 401 : 200;

  test(`${source}: requests with an Origin, or for another host, are refused and not recorded`, async (t) => {
    const endpoint = await startEndpoint(t, source, { secret: SECRET });
    const { port } = new URL(endpoint.origin);
    const otherPort = Number(port) === 1 ? 2 : 1;
    for (const headers of [
      { Origin: endpoint.origin },
      { Origin: "null" },
      { Origin: "" },
      { Origin: `http://evil.example:${port}`, Host: `evil.example:${port}` },
      { Host: `evil.example:${port}` },
      { Host: "evil.example" },
      { Host: `localhost.evil.example:${port}` },
      { Host: `127.0.0.1.evil.example:${port}` },
      { Host: `127.0.0.1:${otherPort}` },
      { Host: `127.0.0.2:${port}` },
      { Host: `localhost:${port}:${port}` },
      { Host: `localhost:${port}@evil.example:${port}` },
    ]) {
      const { status, text } = await send(endpoint, { headers });
      t.is(status, 403, JSON.stringify(headers));
      t.regex(text, /The emulator refuses requests/);
      t.notRegex(text, /access_token/);
    }
    const preflight = await send(endpoint, {
      method: "OPTIONS",
      body: undefined,
      headers: { Origin: "http://evil.example" },
    });
    t.is(preflight.status, 403);
    t.is(preflight.headers["access-control-allow-origin"], undefined);
    t.is(endpoint.requests.length, 0);
    for (const host of ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"]) {
      t.is((await send(endpoint, { headers: { Host: `${host}:${port}` } })).status, accepted, host);
    }
  });
}

test("a refused request does not use up a scripted fault", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next({ status: 503 });
  t.is((await send(endpoint, { headers: { Origin: "null" } })).status, 403);
  t.is((await send(endpoint)).status, 503);
});

for (const [condition, lines, expected] of [
  ["HTTP/1.0 without a Host", ["GET / HTTP/1.0"], 403],
  ["an empty Host", ["GET / HTTP/1.1", "Host:"], 403],
  ["an absolute URL", ["GET http://127.0.0.1/ HTTP/1.1", "Host: evil.example"], 403],
  ["a second Host", ["GET / HTTP/1.1", "Host: evil.example", "Host: 127.0.0.1"], 403],
]) {
  test(`${condition}: status ${expected}`, async (t) => {
    const endpoint = await startEndpoint(t);
    const socket = net.connect(new URL(endpoint.origin).port, "127.0.0.1");
    socket.write(`${[...lines, "Connection: close"].join("\r\n")}\r\n\r\n`);
    const text = Buffer.concat(await socket.toArray()).toString();
    t.is(Number(text.split(" ")[1]), expected);
  });
}

test("workload identity: the discovery documents are refused as well", async (t) => {
  const endpoint = await startEndpoint(t, "workload-identity");
  const path = `/${endpoint.env.AZURE_TENANT_ID}/v2.0/.well-known/openid-configuration`;
  const options = { method: "GET", path, body: undefined };
  t.is((await send(endpoint, { ...options, headers: { Host: "evil.example" } })).status, 403);
  const { port } = new URL(endpoint.origin);
  const { text } = await send(endpoint, { ...options, headers: { Host: `localhost:${port}` } });
  t.regex(JSON.parse(text).token_endpoint, new RegExp(`^https://localhost:${port}/`));
});

test("a refused request: the client's error says which option allows the name", async (t) => {
  const endpoint = await startEndpoint(t, "app-service", { secret: SECRET });
  const other = net.createServer().listen(0, "127.0.0.1");
  t.teardown(() => other.close());
  await once(other, "listening");
  const { port } = new URL(endpoint.origin);
  // Forwards to the endpoint, so that the client sends another port in its Host header.
  other.on("connection", (socket) => {
    const forwarded = net.connect(port, "127.0.0.1");
    socket.pipe(forwarded).pipe(socket);
    for (const side of [socket, forwarded]) side.on("error", () => socket.destroy());
  });
  const IDENTITY_ENDPOINT = `http://127.0.0.1:${other.address().port}/msi/token`;
  const error = await t.throwsAsync(
    acquireWithoutRetries({ ...endpoint, env: { ...endpoint.env, IDENTITY_ENDPOINT } }),
  );
  t.is(error.statusCode, 403);
  t.regex(error.message, /--allowed-host/);
});

test("onRefusal: is called for another host, an Origin header, and a missing or wrong secret", async (t) => {
  const reasons = [];
  const options = { secret: SECRET, onRefusal: (reason) => reasons.push(reason) };
  for (const source of WITH_SECRET) {
    const endpoint = await startEndpoint(t, source, options);
    const { headers } = tokenRequest(source, endpoint);
    const [header] = Object.keys(headers).filter((name) => headers[name] === SECRET);
    for (const changes of [
      { Host: "evil.example" },
      { Origin: "http://evil.example" },
      { [header]: `${SECRET}1` },
      { [header]: undefined },
      {},
    ]) {
      await send(endpoint, { headers: changes });
    }
    t.regex(reasons[0], /for the host "evil\.example"/, source);
    t.regex(reasons[1], /Origin header/, source);
    t.regex(reasons[2], new RegExp(`with another secret: the header ${header}`, "i"), source);
    t.regex(reasons[3], new RegExp(`without a secret: the header ${header}`, "i"), source);
    t.is(reasons.length, 4, source);
    t.false(reasons.join().includes(SECRET));
    reasons.length = 0;
  }
});

test("onRefusal: a function that throws results in a 500, and a rejected promise is ignored", async (t) => {
  for (const [onRefusal, expected] of [
    [
      () => {
        throw Symbol("thrown");
      },
      /^500 emulator: Symbol\(thrown\)$/,
    ],
    [async () => Promise.reject(new Error("rejected")), /^403 /],
  ]) {
    const endpoint = await startEndpoint(t, "app-service", { secret: SECRET, onRefusal });
    for (const headers of [{ Host: "evil.example" }, { "X-IDENTITY-HEADER": "wrong" }]) {
      const { status, text } = await send(endpoint, { headers });
      t.regex(`${status} ${text}`, expected, JSON.stringify(headers));
    }
  }
});

test("a host with control characters is quoted without them", async (t) => {
  const reasons = [];
  const endpoint = await startEndpoint(t, "imds", { onRefusal: (reason) => reasons.push(reason) });
  const { text } = await send(endpoint, { headers: { Host: `evil\u009b31m${"x".repeat(1_000)}` } });
  t.is(reasons.length, 1);
  for (const shown of [text, ...reasons]) {
    t.true(shown.includes("evil\ufffd31mx"));
    t.notRegex(shown, /[\u0080-\u009f]/);
    t.true(shown.length < 700);
  }
});

test("allowedHosts: names are accepted with every port, or with their own only", async (t) => {
  const endpoint = await startEndpoint(t, "app-service", {
    secret: SECRET,
    allowedHosts: ["Emulator", "my_service:8080", "[fe80::1]", "10.1.2.3:80"],
  });
  for (const [host, expected] of [
    ["emulator", 200],
    ["EMULATOR:1234", 200],
    ["my_service:8080", 200],
    ["my_service:8081", 403],
    ["my_service", 403],
    ["[fe80::1]:9", 200],
    ["10.1.2.3:80", 200],
    ["emulator.evil.example", 403],
  ]) {
    t.is((await send(endpoint, { headers: { Host: host } })).status, expected, host);
  }
  const { status } = await send(endpoint, { headers: { Host: "emulator", Origin: "http://emulator" } });
  t.is(status, 403);
});

for (const source of SECURE) {
  test(`${source}: the certificate is for the allowed hosts too`, async (t) => {
    const endpoint = await startEndpoint(t, source, { allowedHosts: ["emulator:8080", "10.1.2.3"] });
    const { port } = new URL(endpoint.origin);
    for (const servername of ["emulator", "localhost"]) {
      const socket = tls.connect({ port, host: "127.0.0.1", servername, ca: endpoint.certificate.pem });
      await once(socket, "secureConnect");
      t.true(socket.authorized);
      t.regex(socket.getPeerCertificate().subjectaltname, /IP Address:10\.1\.2\.3/);
      socket.destroy();
    }
  });
}

testWith(test, "other loopback addresses")(
  "host: other addresses than the default are used for the origin",
  async (t) => {
    for (const [host, name] of [
      ["127.0.0.1", "127.0.0.1"],
      ["localhost", "localhost"],
      ["127.0.0.5", "127.0.0.5"],
      ["0.0.0.0", "127.0.0.1"],
      ["::1", "[::1]"],
      ["0:0::1", "[::1]"],
      ["::", "[::1]"],
    ]) {
      const endpoint = await startEmulator({ source: "app-service", host, secret: SECRET }).catch(
        (error) => error,
      );
      if (endpoint.code === "EADDRNOTAVAIL" || endpoint.code === "EAFNOSUPPORT") continue; // no IPv6 on this machine
      t.teardown(() => endpoint.close());
      t.is(new URL(endpoint.origin).hostname, name);
      const address = name.replace(/[[\]]/g, "");
      t.is((await send(endpoint, { address })).status, 200, host);
    }
  },
);

testWith(test, "address besides loopback")(
  "host 0.0.0.0: the machine's other addresses are connected to, but refused as a name until they are allowed",
  async (t) => {
    const external = externalAddress();
    const options = { host: "0.0.0.0", secret: SECRET };
    const closed = await startEndpoint(t, "app-service", options);
    t.is((await send(closed, { address: external })).status, 403);
    const open = await startEndpoint(t, "app-service", { ...options, allowedHosts: [external] });
    t.is((await send(open, { address: external })).status, 200);
    const own = await startEndpoint(t, "app-service", { ...options, host: external });
    t.is(new URL(own.origin).hostname, external);
    t.is((await send(own, { address: external })).status, 200);
  },
);

for (const source of sources) {
  test(`${source}: tokens of the Azure CLI leave the machine only for a secret`, async (t) => {
    const start = async (options) => {
      const endpoint = await startEmulator({ source, tokens: azureCliTokens(), ...options });
      await endpoint.close();
    };
    await start({});
    await start({ host: "127.0.0.9" });
    await start({ host: "0.0.0.0", tokens: () => ({ accessToken: "a", expiresOn: new Date() }) });
    const withoutSecret = await t.throwsAsync(start({ host: "0.0.0.0" }), { instanceOf: TypeError });
    const shortSecret = { host: "0.0.0.0", secret: SECRET.slice(1) };
    await t.throwsAsync(start(shortSecret), { instanceOf: TypeError });
    if (WITH_SECRET.includes(source)) {
      t.regex(withoutSecret.message, /"secret" must be set, with at least 16 characters/);
      await start({ host: "0.0.0.0", secret: SECRET });
    } else {
      t.regex(withoutSecret.message, /"host" must be a loopback address/);
      await t.throwsAsync(start({ host: "::", secret: SECRET }), { instanceOf: TypeError });
    }
  });
}

for (const [condition, options] of [
  ["a host name", { host: "emulator" }],
  ["an address with a zone", { host: "fe80::1%lo" }],
  ["an empty host", { host: "" }],
  ["a wildcard as an allowed host", { allowedHosts: ["*"] }],
  ["a URL as an allowed host", { allowedHosts: ["http://emulator"] }],
  ["an empty allowed host", { allowedHosts: [""] }],
  ["allowed hosts as text", { allowedHosts: "emulator" }],
]) {
  test(`startEmulator with ${condition}: TypeError`, async (t) => {
    await t.throwsAsync(startEmulator({ source: "imds", ...options }), { instanceOf: TypeError });
  });
}
