// Whatever a caller or the environment says, a source is sent exactly one request of its own form, or none. The server
// knows nothing of HTTP: it keeps the bytes, and this file reads them as strictly as it can.

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import test from "ava";
import { NO_RETRIES } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");
const { createCertificate } = require("../emulator/certificate.js");

const TOKEN = '{"access_token":"a.b.c","expires_in":"3600"}';
const ANSWER = `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${TOKEN.length}\r\n\r\n${TOKEN}`;
const ID = "1f2e3d4c-0000-4aaa-8bbb-123456789abc";

/** What could end a line, a header, a parameter or a request, or is no text at all. */
const WORDS = [
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
  "\u010d\u010a", // Their low bytes are CR and LF.
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

/** How each source is reached at `origin`, and the only headers and parameters that it may be sent. */
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
    env: (origin, { pem }, folder) => {
      const write = (name, text) => {
        writeFileSync(join(folder, name), text);
        return join(folder, name);
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

/** Keeps all bytes that come, and answers when a head and its body are there. `take()` gives them, connection by connection. */
async function listen(t, credentials) {
  const connections = [];
  const serve = (socket) => {
    const connection = { bytes: "", closed: once(socket, "close") };
    connections.push(connection);
    socket.setEncoding("latin1");
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      connection.bytes += bytes;
      const [head, body] = split(connection.bytes);
      if (body?.length >= Number(/\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0))
        socket.end(ANSWER, "latin1");
    });
  };
  const server = credentials ? tls.createServer(credentials, serve) : net.createServer(serve);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  return {
    origin: `${credentials ? "https" : "http"}://127.0.0.1:${server.address().port}`,
    take: async () => {
      const taken = connections.splice(0);
      await Promise.all(taken.map(({ closed }) => closed));
      return taken.map(({ bytes }) => bytes);
    },
  };
}

/** Head and body; no body as long as the head is not whole. */
function split(bytes) {
  const end = bytes.indexOf("\r\n\r\n");
  return end < 0 ? [bytes] : [bytes.slice(0, end), bytes.slice(end + 4)];
}

/** The request that these bytes are, if they are one and no more. */
function parse(t, bytes, message) {
  const [head, body] = split(bytes);
  const [line, ...lines] = head.split("\r\n");
  t.regex(line, /^(GET|POST) \/[!-~]* HTTP\/1\.1$/, message);
  const headers = lines.map((each) => {
    t.regex(each, /^[A-Za-z-]+: [\t -~]*$/, message);
    return [each.slice(0, each.indexOf(":")).toLowerCase(), each.slice(each.indexOf(":") + 2)];
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

/** What a text becomes that is no well-formed UTF-16. */
function wellFormed(text) {
  return Buffer.from(text).toString();
}

/** What Node.js keeps of a text that becomes a variable of the process's environment. */
function variable(text) {
  return wellFormed(text).split("\0")[0];
}

/** Whether an id has white space, control characters or quotation marks around it. */
function isPadded(id) {
  return /^[\s\p{Cc}"']|[\s\p{Cc}"']$/u.test(id);
}

/**
 * The places at which a source can be told something: `by(word)` has the environment, the options and the request that
 * say it; `refuses(word)` whether nothing may be sent; `sent(word)` the parameters that go out with it.
 */
function places({ endpoint, secret, takesClaims = false, ids = {}, variables = {} }, origin, folder) {
  const list = {
    "the resource": {
      by: (word) => ({ request: { resource: `https://a/${word}` } }),
      refuses: (word) => /[\s\p{Cc}\u0085\ufeff\ufffd]/u.test(wellFormed(word)),
      sent: (word) => ["resource", "scope", `https://a/${word}`],
    },
    "the claims": {
      by: (word) => ({ request: { resource: "https://a", forceRefresh: false, claims: word } }),
      refuses: () => takesClaims,
    },
    "the tenant of a request": {
      by: (word) => ({ request: { resource: "https://a", tenantId: word } }),
    },
    "the client's capabilities": {
      by: (word) => ({ options: { clientCapabilities: ["cp1", word] } }),
      refuses: () => false,
      sent: (word) =>
        takesClaims
          ? [
              "claims",
              "claims",
              JSON.stringify({ access_token: { xms_cc: { values: ["cp1", wellFormed(word)] } } }),
            ]
          : ["xms_cc", "xms_cc", `cp1,${word}`],
    },
    "the endpoint's path": { by: (word) => ({ env: { [endpoint]: `${origin}/a${word}` } }) },
    "the endpoint's query": { by: (word) => ({ env: { [endpoint]: `${origin}/a?b=${word}` } }) },
    "the endpoint's port": { by: (word) => ({ env: { [endpoint]: `${origin}${word}` } }) },
    "the endpoint's beginning": { by: (word) => ({ env: { [endpoint]: `${word}${origin}` } }) },
  };
  for (const [option, name] of Object.entries(ids)) {
    list[option] = {
      by: (word) => ({ options: { managedIdentityIdParams: { [option]: word } } }),
      refuses: isPadded,
      sent: (word) => [name, name, word],
    };
  }
  for (const [each, name] of Object.entries(variables)) {
    list[each] = {
      by: (word) => ({ env: { [each]: word } }),
      refuses: (word) => variable(word) === "" || isPadded(variable(word)),
      sent: (word) => [name, name, variable(word)],
    };
  }
  if (secret !== undefined) {
    list[secret] = {
      by: (word) => ({ env: { [secret]: `a${word}` } }),
      refuses: (word) => /[^\t -~]/.test(variable(word)),
    };
  }
  if (endpoint === "AZURE_AUTHORITY_HOST") {
    list.AZURE_TENANT_ID = {
      by: (word) => ({ env: { AZURE_TENANT_ID: `a${word}` } }),
      refuses: (word) => /[^\w.-]/.test(variable(word)),
    };
    const file = join(folder, "spoilt");
    list["the federated token"] = {
      by: (word) => {
        writeFileSync(file, `a${word}b`);
        return { env: { AZURE_FEDERATED_TOKEN_FILE: file } };
      },
      refuses: () => false,
      sent: (word) => ["client_assertion", "client_assertion", `a${word}b`],
    };
  }
  return list;
}

for (const [name, source] of Object.entries(SOURCES)) {
  test(`${name} is sent one request of its form, or none, whatever is said`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "injection-"));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const certificate = source.secure ? await createCertificate() : undefined;
    const server = await listen(t, certificate && { cert: certificate.pem, key: certificate.keyPem });
    const good = source.env(server.origin, certificate, folder);
    for (const [place, { by, refuses, sent }] of Object.entries(places(source, server.origin, folder))) {
      for (const word of WORDS) {
        const message = `${place}: ${JSON.stringify(word)}`;
        const { env, options, request = { resource: "https://a" } } = by(word);
        const call = () =>
          new ManagedIdentityApplication({ ...NO_RETRIES, ...options }).acquireToken({
            forceRefresh: true,
            timeout: 20_000,
            ...request,
          });
        const outcome = await withEnvironment({ ...good, ...env }, async () => call()).catch(
          (error) => error,
        );
        const received = await server.take();
        t.true(outcome instanceof ManagedIdentityError || typeof outcome?.accessToken === "string", message);
        if (received.length === 0) {
          t.true(outcome instanceof ManagedIdentityError, message);
          t.not(refuses?.(word), false, `${message} is refused: ${outcome}`);
          continue;
        }
        t.is(received.length, 1, message);
        t.not(refuses?.(word), true, `${message} is sent`);
        const { names, parameters } = parse(t, received[0], message);
        t.deepEqual(names, [...COMMON, ...source.headers].sort(), message);
        if (sent === undefined) continue;
        const [query, form, value] = sent(word);
        const found = parameters.filter(([each]) => each === query || each === form);
        t.is(found.length, 1, message);
        t.is(decodeURIComponent(found[0][1]).replace(/\/\.default$/, ""), wellFormed(value), message);
        t.is(new Set(parameters.map(([each]) => each)).size, parameters.length, message);
      }
    }
  });
}
