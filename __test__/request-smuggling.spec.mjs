// Whatever input a caller or the environment provides, a source receives exactly one well-formed request, or none. The
// server does not parse HTTP: it records bytes, which this file parses strictly.

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import test from "ava";
import { neededBySource, testWith } from "./support/capabilities.mjs";
import { NO_RETRIES } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");
const { createCertificate } = require("managed-identity-native/emulator");

const TOKEN = '{"access_token":"a.b.c","expires_in":"3600"}';
const RESPONSE = `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${TOKEN.length}\r\n\r\n${TOKEN}`;
const ID = "1f2e3d4c-0000-4aaa-8bbb-123456789abc";

/** Strings that could end a line, a header, a parameter or a request, or that are not well-formed. */
const PAYLOADS = [
  "\r\nX-Injected: yes",
  "\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n",
  "\nX-Injected: yes",
  "\rX-Injected: yes",
  "\r\n folded",
  "a\u0000b",
  "&resource=https://other&client_id=other",
  ";resource=other",
  "#fragment",
  "?a=b",
  "%0d%0aX-Injected:%20yes",
  "%00",
  "%zz%",
  "a b",
  "a\tb",
  "a+b",
  "../..//%2e%2e/",
  "\\",
  "\"'<>`{|}^[]",
  "äöü€😀",
  "\u0085\u00a0\u2028\ufeff",
  "\u010d\u010a", // The low bytes of these characters are CR and LF.
  "\u007f\u001b[2J",
  "\ud800",
  "\udc00a",
];

const COMMON = ["accept", "accept-encoding", "host", "user-agent"];
const FORM = ["content-type", "content-length"];
const IDS = {
  userAssignedClientId: "client_id",
  userAssignedObjectId: "object_id",
  userAssignedResourceId: "msi_res_id",
};

/** How each source is reached at `origin`, and the only headers and parameters that it may receive. */
const SOURCES = {
  AppService: {
    env: (origin) => ({ IDENTITY_ENDPOINT: `${origin}/token`, IDENTITY_HEADER: "secret" }),
    endpoint: "IDENTITY_ENDPOINT",
    secret: "IDENTITY_HEADER",
    headers: ["x-identity-header"],
    ids: { ...IDS, userAssignedResourceId: "mi_res_id" },
  },
  MachineLearning: {
    env: (origin) => ({ MSI_ENDPOINT: `${origin}/token`, MSI_SECRET: "secret" }),
    endpoint: "MSI_ENDPOINT",
    secret: "MSI_SECRET",
    headers: ["metadata", "secret"],
    ids: { userAssignedClientId: "clientid" },
    variables: { DEFAULT_IDENTITY_CLIENT_ID: "clientid" },
  },
  CloudShell: {
    env: (origin) => ({ MSI_ENDPOINT: `${origin}/token` }),
    endpoint: "MSI_ENDPOINT",
    headers: ["metadata", ...FORM],
  },
  AzureArc: {
    env: (origin) => ({ IDENTITY_ENDPOINT: `${origin}/token`, IMDS_ENDPOINT: origin }),
    endpoint: "IDENTITY_ENDPOINT",
    headers: ["metadata"],
    ids: IDS,
  },
  DefaultToImds: {
    env: (origin) => ({ AZURE_POD_IDENTITY_AUTHORITY_HOST: origin }),
    endpoint: "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    headers: ["metadata", "x-client-sku", "x-client-ver", "x-ms-client-request-id"],
    ids: IDS,
  },
  ServiceFabric: {
    env: (origin, { thumbprint }) => ({
      IDENTITY_ENDPOINT: `${origin}/token`,
      IDENTITY_HEADER: "secret",
      IDENTITY_SERVER_THUMBPRINT: thumbprint,
    }),
    endpoint: "IDENTITY_ENDPOINT",
    secret: "IDENTITY_HEADER",
    headers: ["secret"],
    secure: true,
  },
  WorkloadIdentity: {
    env: (origin, { pem }, directory) => {
      const write = (name, text) => {
        writeFileSync(join(directory, name), text);
        return join(directory, name);
      };
      return {
        AZURE_AUTHORITY_HOST: origin,
        AZURE_TENANT_ID: "tenant.example",
        AZURE_CLIENT_ID: ID,
        AZURE_FEDERATED_TOKEN_FILE: write("token", "assertion"),
        NODE_EXTRA_CA_CERTS: write("ca.pem", pem),
      };
    },
    endpoint: "AZURE_AUTHORITY_HOST",
    takesClaims: true,
    headers: FORM,
    ids: { userAssignedClientId: "client_id" },
    variables: { AZURE_CLIENT_ID: "client_id" },
    secure: true,
  },
};

/**
 * Records all received bytes, and responds when a head and its body are complete. `take()` returns the bytes of each
 * connection.
 */
async function listen(t, credentials) {
  const connections = [];
  const serve = (socket) => {
    // Not `once`, which an error rejects: Windows resets a connection that is closed before all is read.
    const closed = new Promise((resolve) => socket.once("close", resolve));
    const connection = { bytes: "", closed };
    connections.push(connection);
    socket.setEncoding("latin1");
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      connection.bytes += bytes;
      const [head, body] = split(connection.bytes);
      if (body?.length >= Number(/\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0))
        socket.end(RESPONSE, "latin1");
    });
  };
  const server = credentials ? tls.createServer(credentials, serve) : net.createServer(serve);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  return {
    origin: `${credentials ? "https" : "http"}://127.0.0.1:${server.address().port}`,
    take: async () => {
      const closedConnections = connections.splice(0);
      await Promise.all(closedConnections.map(({ closed }) => closed));
      return closedConnections.map(({ bytes }) => bytes);
    },
  };
}

/** The head and the body; no body while the head is incomplete. */
function split(bytes) {
  const end = bytes.indexOf("\r\n\r\n");
  return end < 0 ? [bytes] : [bytes.slice(0, end), bytes.slice(end + 4)];
}

/** Parses these bytes as a single request; fails the test if they are anything else. */
function parse(t, bytes, message) {
  const [head, body] = split(bytes);
  const [line, ...lines] = head.split("\r\n");
  t.regex(line, /^(GET|POST) \/[!-~]* HTTP\/1\.1$/, message);
  const headers = lines.map((field) => {
    t.regex(field, /^[A-Za-z-]+: [\t -~]*$/, message);
    return [field.slice(0, field.indexOf(":")).toLowerCase(), field.slice(field.indexOf(":") + 2)];
  });
  const { "content-length": length = "0" } = Object.fromEntries(headers);
  t.is(body.length, Number(length), message);
  const [, target] = line.split(" ");
  t.false(target.includes("#"), message);
  const parameters = [target.split("?").slice(1).join("?"), body].join("&").split("&");
  return {
    names: headers.map(([name]) => name).sort(),
    headers: Object.fromEntries(headers),
    path: target.split("?")[0],
    parameters: parameters
      .filter((pair) => pair !== "")
      .map((pair) => {
        const [name, ...value] = pair.split("=");
        return [name, value.join("=")];
      }),
  };
}

/** Replaces lone surrogates, as UTF-8 encoding does. */
function wellFormed(text) {
  return Buffer.from(text).toString();
}

/** What Node.js stores of a string in an environment variable. */
function variable(text) {
  return wellFormed(text).split("\0")[0];
}

/** Whether an id begins or ends with white space, control characters or quotation marks. */
function isPadded(id) {
  return /^[\s\p{Cc}"']|[\s\p{Cc}"']$/u.test(id);
}

/**
 * The inputs of a source. `using(payload)` returns the environment, options and request with the payload,
 * `rejects(payload)` whether no request may be sent, and `sent(payload)` the parameters that contain it.
 */
function inputs({ endpoint, secret, takesClaims = false, ids = {}, variables = {} }, origin, directory) {
  const list = {
    "the resource": {
      using: (payload) => ({ request: { resource: `https://a/${payload}` } }),
      rejects: (payload) => /[\s\p{Cc}\u0085\ufeff\ufffd]/u.test(wellFormed(payload)),
      sent: (payload) => ["resource", "scope", `https://a/${payload}`],
    },
    "the claims": {
      using: (payload) => ({ request: { resource: "https://a", forceRefresh: false, claims: payload } }),
      rejects: () => takesClaims,
    },
    "the tenant of a request": {
      using: (payload) => ({ request: { resource: "https://a", tenantId: payload } }),
    },
    "the client's capabilities": {
      using: (payload) => ({ options: { clientCapabilities: ["cp1", payload] } }),
      rejects: () => false,
      sent: (payload) =>
        takesClaims
          ? [
              "claims",
              "claims",
              JSON.stringify({ access_token: { xms_cc: { values: ["cp1", wellFormed(payload)] } } }),
            ]
          : ["xms_cc", "xms_cc", `cp1,${payload}`],
    },
    "the endpoint's path": { using: (payload) => ({ env: { [endpoint]: `${origin}/a${payload}` } }) },
    "the endpoint's query": { using: (payload) => ({ env: { [endpoint]: `${origin}/a?b=${payload}` } }) },
    "the endpoint's port": { using: (payload) => ({ env: { [endpoint]: `${origin}${payload}` } }) },
    "the endpoint's beginning": { using: (payload) => ({ env: { [endpoint]: `${payload}${origin}` } }) },
  };
  for (const [option, name] of Object.entries(ids)) {
    list[option] = {
      using: (payload) => ({ options: { managedIdentityIdParams: { [option]: payload } } }),
      rejects: isPadded,
      sent: (payload) => [name, name, payload],
    };
  }
  for (const [field, name] of Object.entries(variables)) {
    list[field] = {
      using: (payload) => ({ env: { [field]: payload } }),
      rejects: (payload) => variable(payload) === "" || isPadded(variable(payload)),
      sent: (payload) => [name, name, variable(payload)],
    };
  }
  if (secret !== undefined) {
    list[secret] = {
      using: (payload) => ({ env: { [secret]: `a${payload}` } }),
      rejects: (payload) => /[^\t -~]/.test(variable(payload)),
    };
  }
  if (endpoint === "AZURE_AUTHORITY_HOST") {
    list.AZURE_TENANT_ID = {
      using: (payload) => ({ env: { AZURE_TENANT_ID: `a${payload}` } }),
      rejects: (payload) => /[^\w.-]/.test(variable(payload)),
    };
    const file = join(directory, "changed-token");
    list["the federated token"] = {
      using: (payload) => {
        writeFileSync(file, `a${payload}b`);
        return { env: { AZURE_FEDERATED_TOKEN_FILE: file } };
      },
      rejects: () => false,
      sent: (payload) => ["client_assertion", "client_assertion", `a${payload}b`],
    };
  }
  return list;
}

for (const [name, source] of Object.entries(SOURCES)) {
  testWith(test, ...neededBySource(name))(
    `${name} receives one well-formed request, or none, for any input`,
    async (t) => {
      const directory = mkdtempSync(join(tmpdir(), "request-smuggling-"));
      t.teardown(() => rmSync(directory, { recursive: true, force: true }));
      const certificate = source.secure ? await createCertificate() : undefined;
      const server = await listen(t, certificate && { cert: certificate.pem, key: certificate.keyPem });
      const validEnv = source.env(server.origin, certificate, directory);
      for (const [input, { using, rejects, sent }] of Object.entries(
        inputs(source, server.origin, directory),
      )) {
        for (const payload of PAYLOADS) {
          const message = `${input}: ${JSON.stringify(payload)}`;
          const { env, options, request = { resource: "https://a" } } = using(payload);
          const call = () =>
            new ManagedIdentityApplication({ ...NO_RETRIES, ...options }).acquireToken({
              forceRefresh: true,
              timeout: 20_000,
              ...request,
            });
          const outcome = await withEnvironment({ ...validEnv, ...env }, async () => call()).catch(
            (error) => error,
          );
          const received = await server.take();
          t.true(
            outcome instanceof ManagedIdentityError || typeof outcome?.accessToken === "string",
            message,
          );
          if (received.length === 0) {
            t.true(outcome instanceof ManagedIdentityError, message);
            t.not(rejects?.(payload), false, `${message} is rejected: ${outcome}`);
            continue;
          }
          t.is(received.length, 1, message);
          t.not(rejects?.(payload), true, `${message} is sent`);
          const { names, parameters } = parse(t, received[0], message);
          t.deepEqual(names, [...COMMON, ...source.headers].sort(), message);
          if (sent === undefined) continue;
          const [query, form, value] = sent(payload);
          const found = parameters.filter(([field]) => field === query || field === form);
          t.is(found.length, 1, message);
          t.is(decodeURIComponent(found[0][1]).replace(/\/\.default$/, ""), wellFormed(value), message);
          t.is(new Set(parameters.map(([field]) => field)).size, parameters.length, message);
        }
      }
    },
  );
}
