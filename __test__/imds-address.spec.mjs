// IMDS at its own address, over real connections: how it is distinguished from other servers at that address, and that
// a slow IMDS is awaited. Each test runs in a child process with a network namespace. Every row of the documented table
// of the default address is tested.

import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { defaultAddressRows } from "./support/chain-tables.mjs";
import { runProcess } from "./support/child-program.mjs";
import { limitConcurrency } from "./support/concurrency-limit.mjs";
import { ownAddressCommand, unansweredAddressCommand } from "./support/imds-address.mjs";

const env = { AZURE_POD_IDENTITY_AUTHORITY_HOST: undefined };
/** Shorter than the retries of a 404, which a chain that continues must not wait for. */
const CHAIN_LIMIT_MS = 5_000;
/** Replaces the timeout of 10 s, so that tests without a response are short. */
const SHORT_MS = 1_500;

const html = { "Content-Type": "text/html; charset=UTF-8" };
const json = { "Content-Type": "application/json" };
const page = "<!DOCTYPE html>\n<html><body>Please sign in</body></html>";
const xhtml =
  '<?xml version="1.0" encoding="iso-8859-1"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0">\n<html/>';

/**
 * Responses of other servers at this address, by the situation in the table. `provenBy` names the requests whose
 * response proves that the server is not IMDS; both by default.
 */
const FOREIGN = {
  "another service responds with HTML": [
    { status: 200, headers: { ...html, Server: "nginx" }, body: page },
    { status: 403, headers: { ...html, Server: "squid/6" }, body: page },
    { status: 404, headers: { ...html, Server: "nginx" }, body: page },
    { status: 502, headers: { ...html, Server: "nginx" }, body: page },
    { status: 503, headers: { Server: "awselb/2.0" }, body: page },
  ],
  "another service responds with a redirect": [
    { status: 302, headers: { Location: "http://169.254.169.254/portal", Server: "portal" }, body: "" },
    { status: 307, headers: { ...html, Location: "https://login.example/", Server: "portal" }, body: page },
  ],
  "another service responds with JSON": [
    { status: 200, headers: { ...json, Server: "envoy" }, body: '{"status":"ok"}' },
    { status: 404, headers: { ...json, Server: "kong/3" }, body: '{"message":"no Route matched"}' },
  ],
  "another service responds with 401": [
    { status: 401, headers: { ...html, Server: "EC2ws" }, body: xhtml },
    { status: 401, headers: { Server: "EC2ws" }, body: "", provenBy: ["probe"] },
  ],
  "another service responds with 403 and text": [
    {
      status: 403,
      headers: { "Metadata-Flavor": "Google", Server: "Metadata Server for VM" },
      body: "Missing Metadata-Flavor:Google header.",
      provenBy: ["token"],
    },
  ],
  "a 404": [
    { status: 404, headers: {}, body: "", provenBy: [] },
    { status: 404, headers: { "Content-Type": "text/plain" }, body: "404 page not found\n", provenBy: [] },
  ],
};

/** The other situations of the table: what answers, and how. */
const OTHERS = {
  "another service responds in another protocol": { any: "SSH-2.0-OpenSSH_9.6\r\n" },
  "a container host responds in place of IMDS": {
    any: { status: 403, headers: {}, body: "dial tcp 169.254.169.254:80: connectex: A socket operation" },
  },
  "the connection is accepted, but neither the probe nor a token request gets a response in time": {
    any: null,
  },
  "IMDS does not have the identity": {
    tokens: [
      {
        status: 400,
        headers: { ...json, Server: "IMDS/150" },
        body: '{"error":"invalid_request","error_description":"Identity not found"}',
      },
    ],
  },
  "IMDS is being updated (410)": { any: { status: 410, headers: html, body: "" } },
  "IMDS is being updated (503)": { any: { status: 503, headers: {}, body: "" } },
  "a gateway's 502 in plain text": { any: { status: 502, headers: {}, body: "Bad gateway" } },
};
const WITHOUT_SERVER = ["the connection is refused", "no connection is accepted"];

const addressTest = testWith(test, "network namespaces");
const unansweredAddressTest = testWith(test, "veth interfaces");

test("the documented table has every situation", (t) => {
  t.deepEqual(
    defaultAddressRows.map(({ situation }) => situation).sort(),
    [...Object.keys(FOREIGN), ...Object.keys(OTHERS), ...WITHOUT_SERVER].sort(),
  );
});

function rowOf(situation) {
  return defaultAddressRows.find((row) => row.situation === situation);
}

const inTurn = limitConcurrency(4);

/** Runs a program in a process that has the address, at most four at one time. */
function runAtAddress(t, program, argument, command = ownAddressCommand) {
  return inTurn(() => runProcess(t, program, { env, argument, command }));
}

/** Reports the results of getToken, of a chain and of isAvailable. */
async function reportResults({ native, require, argument, report }) {
  const { serveAtImdsAddress, getTokenFromChain } = require("./imds-address.cjs");
  const server = argument.responses && (await serveAtImdsAddress(argument.responses));
  const application = new native.ManagedIdentityApplication({ system: argument.system });
  const error = await application.getToken("https://vault.azure.net/.default").catch((thrown) => thrown);
  const before = server?.requests.length;
  const chain = await getTokenFromChain(application);
  const { available, reason } = await application.isAvailable();
  report({
    error: {
      name: error.name,
      code: error.code,
      isInstance: error instanceof native.CredentialUnavailableError,
    },
    requests: server?.requests,
    later: server?.requests.slice(before),
    chain,
    available,
    reason,
  });
  server?.close();
}

for (const [situation, responses] of Object.entries(FOREIGN)) {
  for (const [index, { provenBy = ["probe", "token"], ...any }] of responses.entries()) {
    const name = `${situation}, ${index + 1} (${any.status}, Server: ${any.headers.Server ?? "none"})`;
    addressTest(
      `${name}: a chain continues immediately, isAvailable is false, and acquireToken reports what answered`,
      async (t) => {
        const program = async ({ native, require, argument, report }) => {
          const { serveAtImdsAddress, getTokenFromChain, doctor } = require("./imds-address.cjs");
          const server = await serveAtImdsAddress(argument);
          const application = new native.ManagedIdentityApplication();
          const chain = await getTokenFromChain(application);
          const requests = server.requests.length;
          const withoutRetries = new native.ManagedIdentityApplication({
            system: { disableInternalRetries: true },
          });
          const error = await withoutRetries
            .acquireToken("https://vault.azure.net")
            .catch((thrown) => thrown);
          report({
            chain,
            requests,
            availability: await application.isAvailable(),
            source: await application.getManagedIdentitySourceAsync(),
            error: {
              name: error.name,
              code: error.code,
              statusCode: error.statusCode,
              message: error.message,
            },
            doctor: await doctor(require),
          });
          server.close();
        };
        const [found] = await runAtAddress(t, program, { any });
        const { code, movesOn } = rowOf(situation);
        t.true(movesOn);
        t.is(found.chain.token, "the-next");
        t.true(found.chain.ms < CHAIN_LIMIT_MS, `${found.chain.ms}`);
        t.true(found.requests <= 2, "the probe and at most one token request");
        t.deepEqual([found.error.name, found.error.code], ["ManagedIdentityError", code]);
        t.is(found.error.statusCode, any.status);
        t.true(found.error.message.includes(`${any.status}`), found.error.message);
        const pattern = `Something other than .*status ${any.status}.*Server: ${any.headers.Server}`;
        if (provenBy.includes("token")) t.regex(found.error.message, new RegExp(pattern));
        const isProven = provenBy.includes("probe");
        t.is(found.availability.available, !isProven);
        t.is(found.source, isProven ? null : "Imds");
        if (!isProven) return;
        t.regex(found.availability.reason, new RegExp(pattern));
        t.is(found.doctor.exitCode, 3);
        t.false(found.doctor.endpoint.available);
        t.regex(found.doctor.endpoint.reason, new RegExp(pattern));
      },
    );
  }
}

for (const [situation, responses] of Object.entries(OTHERS)) {
  const { code, movesOn } = rowOf(situation) ?? {};
  addressTest(`${situation}: a chain ${movesOn ? "moves on" : "stops"}`, async (t) => {
    const system = { requestTimeout: SHORT_MS, disableInternalRetries: true };
    const [found] = await runAtAddress(t, reportResults, { responses, system });
    const name = movesOn ? "CredentialUnavailableError" : "ManagedIdentityError";
    t.deepEqual(found.error, { name, code, isInstance: movesOn });
    t.is(found.chain.token, movesOn ? "the-next" : undefined);
    if (!movesOn) t.is(found.chain.name, "ManagedIdentityError");
  });
}

addressTest("the connection is refused: a chain continues", async (t) => {
  const [found] = await runAtAddress(t, reportResults, {});
  t.deepEqual(found.error, {
    name: "CredentialUnavailableError",
    code: rowOf("the connection is refused").code,
    isInstance: true,
  });
  t.is(found.chain.token, "the-next");
  t.true(found.chain.ms < CHAIN_LIMIT_MS);
  t.false(found.available);
});

unansweredAddressTest("no connection is accepted: a chain continues after the probe", async (t) => {
  const [found] = await runAtAddress(t, reportResults, {}, unansweredAddressCommand);
  const { code } = rowOf("no connection is accepted");
  t.deepEqual(found.error, { name: "CredentialUnavailableError", code, isInstance: true });
  t.is(found.chain.token, "the-next");
  t.true(found.chain.ms < CHAIN_LIMIT_MS, `${found.chain.ms}`);
  t.false(found.available);
});

addressTest(
  "an endpoint that does not respond gets one token request; for five minutes it is only probed",
  async (t) => {
    const [{ requests, later, chain }] = await runAtAddress(t, reportResults, {
      responses: { any: null },
      system: { requestTimeout: SHORT_MS },
    });
    t.deepEqual(requests.slice(0, 2), ["probe", "token"]);
    t.is(later[0], "probe");
    t.false(later.includes("token"));
    t.is(chain.token, "the-next");
  },
);

addressTest(
  "IMDS that responds after ten seconds: a chain continues, and the next time after the probe",
  async (t) => {
    const [{ error, later, chain }] = await runAtAddress(t, reportResults, { responses: { delay: 11_000 } });
    t.deepEqual([error.name, error.code], ["CredentialUnavailableError", "network_unavailable"]);
    t.false(later.includes("token"));
    t.is(chain.token, "the-next");
    t.true(chain.ms < CHAIN_LIMIT_MS, `${chain.ms}`);
  },
);

for (const delay of [1_500, 2_500]) {
  addressTest(`IMDS that responds after ${delay} ms returns a token and is not probed again`, async (t) => {
    const program = async ({ native, require, argument, report }) => {
      const { serveAtImdsAddress, getTokenFromChain } = require("./imds-address.cjs");
      const server = await serveAtImdsAddress(argument);
      const application = new native.ManagedIdentityApplication();
      report(await getTokenFromChain(application));
      report(await getTokenFromChain(application, "https://storage.azure.com/.default"));
      report(server.requests);
      server.close();
    };
    const [first, second, requests] = await runAtAddress(t, program, { delay });
    t.deepEqual([first.token, second.token], ["imds-token", "imds-token"]);
    t.deepEqual(requests, ["probe", "token", "token"]);
  });
}

addressTest("a response of IMDS to acquireToken is remembered: no probe is sent", async (t) => {
  const program = async ({ native, require, report }) => {
    const { serveAtImdsAddress, getTokenFromChain } = require("./imds-address.cjs");
    const server = await serveAtImdsAddress({ delay: 1_500 });
    const application = new native.ManagedIdentityApplication();
    await application.acquireToken("https://vault.azure.net");
    report(await getTokenFromChain(application, "https://storage.azure.com/.default"));
    report(server.requests);
    server.close();
  };
  const [{ token }, requests] = await runAtAddress(t, program);
  t.is(token, "imds-token");
  t.deepEqual(requests, ["token", "token"]);
});

const updatingResponse = (status) => ({ status, headers: html, body: "" });
const nmi = { status: 404, headers: {}, body: "no AzureAssignedIdentity found for pod:default/app\n" };
const nmiToken = {
  status: 200,
  headers: {},
  body: JSON.stringify({ access_token: "nmi-token", expires_in: "86400", token_type: "Bearer" }),
};
for (const [condition, responses, token] of [
  [
    "is being updated temporarily",
    { probe: updatingResponse(503), tokens: [updatingResponse(503), nmiToken] },
    "nmi-token",
  ],
  ["is replaced by NMI, which responds in plain text", { probe: nmi, tokens: [nmiToken] }, "nmi-token"],
  [
    "is replaced by a server without a Server header",
    { probe: updatingResponse(400), tokens: [nmiToken] },
    "nmi-token",
  ],
  ["responds normally", {}, "imds-token"],
]) {
  addressTest(`IMDS that ${condition} returns a token and is available`, async (t) => {
    const program = async ({ native, require, argument, report }) => {
      const { serveAtImdsAddress, getTokenFromChain } = require("./imds-address.cjs");
      const server = await serveAtImdsAddress(argument);
      const application = new native.ManagedIdentityApplication();
      report(await application.isAvailable());
      report(await getTokenFromChain(application));
      report(await application.getManagedIdentitySourceAsync());
      server.close();
    };
    const [availability, chain, source] = await runAtAddress(t, program, responses);
    t.deepEqual(availability, { available: true, source: "DefaultToImds" });
    t.is(chain.token, token);
    t.is(source, "Imds");
  });
}

for (const any of [
  FOREIGN["another service responds with HTML"][0],
  FOREIGN["another service responds with 401"][0],
]) {
  addressTest(
    `reference: ManagedIdentityCredential before ${any.status} ${any.headers.Server} lets a chain continue`,
    async (t) => {
      const program = async ({ require, argument, report }) => {
        const { ManagedIdentityCredential } = require("@azure/identity");
        const { serveAtImdsAddress, getTokenFromChain } = require("./imds-address.cjs");
        const server = await serveAtImdsAddress(argument);
        report(await getTokenFromChain(new ManagedIdentityCredential()));
        server.close();
      };
      const [{ token }] = await runAtAddress(t, program, { any });
      t.is(token, "the-next");
    },
  );
}

addressTest("a local failure, no free port, is an ordinary error and stops a chain", async (t) => {
  const program = async ({ native, require, report }) => {
    const { serveAtImdsAddress, getTokenFromChain } = require("./imds-address.cjs");
    const { once } = require("node:events");
    const server = await serveAtImdsAddress({});
    require("node:fs").writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", "50000 50000");
    const socket = require("node:net").connect({ host: "169.254.169.254", port: 80 });
    await once(socket, "connect");
    const application = new native.ManagedIdentityApplication({ system: { disableInternalRetries: true } });
    const error = await application.getToken("https://vault.azure.net/.default").catch((thrown) => thrown);
    report([error.name, error.code, error.cause?.code]);
    const { name, token } = await getTokenFromChain(application);
    report([name, token ?? null]);
    socket.destroy();
    server.close();
  };
  const reports = await runAtAddress(t, program);
  t.deepEqual(reports, [
    ["ManagedIdentityError", "managed_identity_unreachable_network", "EADDRNOTAVAIL"],
    ["ManagedIdentityError", null],
  ]);
});
