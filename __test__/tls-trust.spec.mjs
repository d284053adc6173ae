// The roots by which https endpoints are verified: those of this process. Each result is compared with that of Node's
// fetch in the same process and at the same server.

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { runProcess, startProcess } from "./support/child-program.mjs";

const { createCertificate } = createRequire(import.meta.url)("managed-identity-native/emulator");

const canReadRoots = tls.getCACertificates !== undefined;
const canSetRoots = tls.setDefaultCACertificates !== undefined;
/** Clears the settings of the machine on which the tests run. */
const NO_SETTINGS = {
  NODE_EXTRA_CA_CERTS: undefined,
  NODE_OPTIONS: undefined,
  NODE_USE_SYSTEM_CA: undefined,
  NODE_TLS_REJECT_UNAUTHORIZED: undefined,
  SSL_CERT_FILE: undefined,
  SSL_CERT_DIR: "/none",
};

/** Starts an App Service endpoint over https, whose certificate is in the file `ca`. */
async function startServer(t, options = {}) {
  const certificate = await createCertificate();
  let handshakes = 0;
  let requests = 0;
  const credentials = { cert: certificate.pem, key: certificate.keyPem };
  const server = https.createServer({ ...credentials, ...options }, (_, response) => {
    requests += 1;
    response.writeHead(200, { "Content-Type": "application/json", Connection: "close" });
    response.end(JSON.stringify({ access_token: `token-${requests}`, expires_in: "3600" }));
  });
  server.on("connection", () => {
    handshakes += 1;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const directory = mkdtempSync(join(tmpdir(), "trust-"));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const ca = join(directory, "ca.pem");
  writeFileSync(ca, certificate.pem);
  const url = `https://127.0.0.1:${server.address().port}/token`;
  return {
    ca,
    directory,
    url,
    pem: certificate.pem,
    env: { ...NO_SETTINGS, IDENTITY_ENDPOINT: url, IDENTITY_HEADER: "header-1234" },
    get handshakes() {
      return handshakes;
    },
  };
}

/** Sends a request with fetch, if `argument.fetch` is true, and acquires a token; reports both results. */
async function requestWithBoth({ argument, native, require, report }) {
  if (argument.roots) {
    const tls = require("node:tls");
    const { roots } = argument;
    tls.setDefaultCACertificates(roots === "bundled" ? tls.getCACertificates(roots) : roots);
  }
  const lines = [];
  const system = {
    disableInternalRetries: true,
    connectTimeout: 60_000,
    loggerOptions: { loggerCallback: (level, message) => lines.push([level, message]) },
  };
  const outcome = {};
  if (argument.fetch) {
    outcome.fetch = await fetch(process.env.IDENTITY_ENDPOINT).then(
      ({ status }) => status,
      () => "rejected",
    );
  }
  const application = new native.ManagedIdentityApplication({ system });
  outcome.actual = await application.acquireToken("https://vault.azure.net").then(
    () => 200,
    ({ errorCode, message }) => {
      outcome.message = message;
      return errorCode === "managed_identity_unreachable_network" ? "rejected" : message;
    },
  );
  report({ ...outcome, lines });
}

async function resultOf(t, server, { env, roots, fetch = true, ...options } = {}) {
  const argument = { fetch, roots };
  const program = startProcess(t, requestWithBoth, { ...options, argument, env: { ...server.env, ...env } });
  const { reports, code, stderr } = await program.ended;
  // Node.js prints to stderr that a file of extra certificates is unreadable or that nothing is verified.
  t.is(code, 0, stderr);
  return reports[0];
}

// The roots of Node.js are additional ones, too, to the system that Windows and macOS verify with.
for (const fetch of [true, false]) {
  const loaded = fetch ? "node:tls in use" : "node:tls not loaded";

  testWith(test, "extra trust roots")(`a server that no root verifies is rejected (${loaded})`, async (t) => {
    const server = await startServer(t);
    const outcome = await resultOf(t, server, { fetch });
    t.is(outcome.fetch, fetch ? "rejected" : undefined);
    t.is(outcome.actual, "rejected");
    t.true(server.handshakes > 0);
  });

  testWith(test, "extra trust roots")(`NODE_EXTRA_CA_CERTS adds roots (${loaded})`, async (t) => {
    const server = await startServer(t);
    const outcome = await resultOf(t, server, { fetch, env: { NODE_EXTRA_CA_CERTS: server.ca } });
    t.is(outcome.fetch, fetch ? 200 : undefined);
    t.is(outcome.actual, 200);
    t.deepEqual(
      outcome.lines.filter(([level]) => level < 2),
      [],
    );
  });

  testWith(test, "roots from SSL_CERT_FILE")(`--use-system-ca reads SSL_CERT_FILE (${loaded})`, async (t) => {
    if (!canReadRoots) return t.pass("this Node.js does not expose its roots");
    const server = await startServer(t);
    const env = { SSL_CERT_FILE: server.ca };
    const outcome = await resultOf(t, server, { fetch, env, flags: ["--use-system-ca"] });
    t.is(outcome.fetch, fetch ? 200 : undefined);
    t.is(outcome.actual, 200);
    const without = await resultOf(t, server, { fetch, env });
    t.is(without.fetch, fetch ? "rejected" : undefined);
    t.is(without.actual, "rejected", "SSL_CERT_FILE alone is not read, as in Node.js");
  });

  testWith(test, "roots from SSL_CERT_FILE")(
    `--use-openssl-ca reads SSL_CERT_FILE instead of other roots (${loaded})`,
    async (t) => {
      if (!canReadRoots) return t.pass("this Node.js does not expose its roots");
      const server = await startServer(t);
      const flags = ["--use-openssl-ca"];
      const outcome = await resultOf(t, server, { fetch, env: { SSL_CERT_FILE: server.ca }, flags });
      t.is(outcome.fetch, fetch ? 200 : undefined);
      t.is(outcome.actual, 200);
      const extra = await resultOf(t, server, { fetch, env: { NODE_EXTRA_CA_CERTS: server.ca }, flags });
      t.is(extra.actual, 200);
      t.is(extra.fetch, fetch ? 200 : undefined);
    },
  );

  testWith(test, "extra trust roots")(
    `a missing file in NODE_EXTRA_CA_CERTS is logged (${loaded})`,
    async (t) => {
      const server = await startServer(t);
      const missing = join(server.directory, "gone.pem");
      const outcome = await resultOf(t, server, { fetch, env: { NODE_EXTRA_CA_CERTS: missing } });
      t.is(outcome.actual, "rejected", "no other root verifies the server");
      t.true(outcome.message.includes(missing), outcome.message);
      const warnings = outcome.lines.filter(([level, line]) => level === 1 && line.includes(missing));
      t.is(warnings.length, 1);
      t.true(server.handshakes > 0, "a connection was attempted");
    },
  );
}

test("NODE_TLS_REJECT_UNAUTHORIZED has no effect", async (t) => {
  const server = await startServer(t);
  const outcome = await resultOf(t, server, { env: { NODE_TLS_REJECT_UNAUTHORIZED: "0" } });
  t.is(outcome.fetch, 200);
  t.is(outcome.actual, "rejected");
});

test("tls.setDefaultCACertificates replaces all other roots", async (t) => {
  if (!canSetRoots) return t.pass("this Node.js has no such function");
  const server = await startServer(t);
  const other = await createCertificate({ subject: "another authority" });
  for (const [roots, env, expected] of [
    [[server.pem], {}, 200],
    [[server.pem, other.pem], {}, 200],
    [[other.pem], { NODE_EXTRA_CA_CERTS: server.ca }, "rejected"],
    ["bundled", { NODE_EXTRA_CA_CERTS: server.ca }, "rejected"],
    [[], { NODE_EXTRA_CA_CERTS: server.ca }, "rejected"],
  ]) {
    const outcome = await resultOf(t, server, { roots, env });
    t.deepEqual([outcome.fetch, outcome.actual], [expected, expected]);
  }
});

test("changed roots apply from the next request on, in the thread that changed them", async (t) => {
  if (!canSetRoots) return t.pass("this Node.js has no such function");
  const server = await startServer(t);
  const other = await createCertificate({ subject: "another authority" });
  const argument = { sets: [undefined, [server.pem], [other.pem], [server.pem]], other: [other.pem] };
  const program = async ({ argument: { sets, other }, native, require, report }) => {
    const https = require("node:https");
    const tls = require("node:tls");
    const { Worker } = require("node:worker_threads");
    const requestWithBoth = async () => {
      const settled = await Promise.allSettled([
        // Not fetch, which resumes a TLS session without verifying the server again.
        new Promise((resolve, reject) => {
          const request = https.get(process.env.IDENTITY_ENDPOINT, { agent: false }, (response) => {
            response.resume();
            resolve();
          });
          request.on("error", reject);
        }),
        new native.ManagedIdentityApplication({
          system: { disableInternalRetries: true, connectTimeout: 60_000 },
        }).acquireToken({
          resource: "https://vault.azure.net",
          forceRefresh: true,
        }),
      ]);
      return settled.map(({ status }) => status === "fulfilled");
    };
    const results = [];
    for (const roots of sets) {
      if (roots) tls.setDefaultCACertificates(roots);
      results.push(await requestWithBoth());
    }
    // Roots that another thread sets apply only there.
    const worker = new Worker(
      'require("node:tls").setDefaultCACertificates(require("node:worker_threads").workerData)',
      { eval: true, workerData: other },
    );
    await new Promise((resolve) => worker.once("exit", resolve));
    results.push(await requestWithBoth());
    report(results);
  };
  const [results] = await runProcess(t, program, { argument, env: server.env });
  t.deepEqual(results, [
    [false, false],
    [true, true],
    [false, false],
    [true, true],
    [true, true],
  ]);
});

testWith(test, "extra trust roots")(
  "roots are read for https only, and not on the calling thread",
  async (t) => {
    const server = await startServer(t);
    const program = async ({ argument, native, report }) => {
      const isLoaded = () => process.moduleLoadList.includes("NativeModule tls");
      report(isLoaded());
      process.env.IDENTITY_ENDPOINT = argument.plain;
      const application = new native.ManagedIdentityApplication({
        system: { disableInternalRetries: true, connectTimeout: 60_000 },
      });
      await application.acquireToken("https://vault.azure.net").catch(() => {});
      report(isLoaded());
      process.env.IDENTITY_ENDPOINT = argument.url;
      process.env.NODE_EXTRA_CA_CERTS = argument.ca;
      await application.acquireToken("https://vault.azure.net");
      report(isLoaded());
    };
    const argument = { plain: "http://127.0.0.1:1/token", url: server.url, ca: server.ca };
    t.deepEqual(await runProcess(t, program, { argument, env: server.env }), [false, false, false]);
  },
);

testWith(test, "extra trust roots")("reading the roots leaves stdout blocking", async (t) => {
  const server = await startServer(t);
  const program = async ({ native, report }) => {
    const application = new native.ManagedIdentityApplication({
      system: { disableInternalRetries: true, connectTimeout: 60_000 },
    });
    await application.acquireToken("https://vault.azure.net");
    // If Node.js had made the descriptor non-blocking, only a part of this would be written.
    report("x".repeat(8_000_000));
  };
  const env = { ...server.env, NODE_EXTRA_CA_CERTS: server.ca };
  const [results] = await runProcess(t, program, { env });
  t.is(results.length, 8_000_000);
});

/** The command prefix of processes whose /etc/ssl and /etc/pki contain only this bundle, or nothing. */
function withSystemRoots(bundle) {
  const steps = [
    "for d in /etc/ssl /etc/pki; do [ ! -d $d ] || mount -t tmpfs none $d; done",
    bundle && `mkdir -p /etc/ssl/certs && cp "${bundle}" /etc/ssl/certs/ca-certificates.crt`,
  ].filter(Boolean);
  return ["unshare", "--map-root-user", "--mount", "sh", "-c", `${steps.join(" && ")} && exec "$@"`, "sh"];
}

testWith(test, "mount namespaces")("without a system trust store, the bundled roots apply", async (t) => {
  const server = await startServer(t);
  const command = withSystemRoots();
  const outcome = await resultOf(t, server, { command });
  // The bundle contains only public authorities, so the server is rejected after a handshake.
  t.deepEqual([outcome.fetch, outcome.actual], ["rejected", "rejected"]);
  t.true(server.handshakes > 1);
  t.true(/certificate/i.test(outcome.message) && !/no trust roots/.test(outcome.message), outcome.message);
  const env = { NODE_EXTRA_CA_CERTS: server.ca };
  t.is((await resultOf(t, server, { command, env })).actual, 200);
});

testWith(test, "mount namespaces")(
  "the system's roots apply in addition to Node's, also if the file in NODE_EXTRA_CA_CERTS is missing",
  async (t) => {
    const server = await startServer(t);
    const command = withSystemRoots(server.ca);
    const missing = join(server.directory, "gone.pem");
    for (const NODE_EXTRA_CA_CERTS of [undefined, missing]) {
      const outcome = await resultOf(t, server, { command, env: { NODE_EXTRA_CA_CERTS } });
      t.deepEqual([outcome.fetch, outcome.actual], ["rejected", 200]);
      const warnings = outcome.lines.filter(([level]) => level === 1);
      t.is(warnings.length, NODE_EXTRA_CA_CERTS === undefined ? 0 : 1);
    }
  },
);

testWith(test, "mount namespaces")(
  "the system's roots do not apply if the process has set its own",
  async (t) => {
    if (!canSetRoots) return t.pass("this Node.js has no such function");
    const server = await startServer(t);
    const other = await createCertificate({ subject: "another authority" });
    for (const roots of [[other.pem], "bundled"]) {
      const outcome = await resultOf(t, server, { command: withSystemRoots(server.ca), roots });
      t.deepEqual([outcome.fetch, outcome.actual], ["rejected", "rejected"]);
    }
  },
);

testWith(test, "extra trust roots")(
  "a server that requires a client certificate gets no retry, regardless of when its rejection arrives",
  async (t) => {
    // With TLS 1.3 the rejection arrives after the handshake, before or after the request was sent.
    const server = await startServer(t, { requestCert: true, minVersion: "TLSv1.3" });
    const [errors] = await runProcess(
      t,
      async ({ native: { ManagedIdentityApplication }, report }) => {
        const application = new ManagedIdentityApplication({ system: { connectTimeout: 60_000 } });
        const errors = [];
        for (let nth = 0; nth < 20; nth += 1) {
          const error = await application.acquireToken("https://vault.azure.net").catch((error) => error);
          errors.push({ attempts: error.attempts, hasReason: error.message.includes("CertificateRequired") });
        }
        report(errors);
      },
      { env: { ...server.env, NODE_EXTRA_CA_CERTS: server.ca } },
    );
    t.deepEqual(errors, Array(20).fill({ attempts: 1, hasReason: true }));
  },
);
