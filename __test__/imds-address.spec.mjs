// IMDS at its own address, over real connections: told from what else answers there, and awaited although it is slow.
// Each test has a process and a network namespace of its own. README's table of the default address is run row by row.

import test from "ava";
import { defaultAddressRows } from "./support/chain-tables.mjs";
import {
  ownAddressCommand,
  skipReason,
  unansweredAddressCommand,
  unansweredSkipReason,
} from "./support/imds-address.mjs";
import { runProcess } from "./support/program.mjs";

const env = { AZURE_POD_IDENTITY_AUTHORITY_HOST: undefined };
/** Less than the retries of a 404 take, for which a chain that should move on would wait. */
const SOON_MS = 5_000;
/** The timeout that replaces one of 10 s, so that tests of silence are short. */
const SHORT_MS = 1_500;

const html = { "Content-Type": "text/html; charset=UTF-8" };
const json = { "Content-Type": "application/json" };
const page = "<!DOCTYPE html>\n<html><body>Please sign in</body></html>";
const xhtml =
  '<?xml version="1.0" encoding="iso-8859-1"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0">\n<html/>';

/**
 * What else answers at this address, by the situation of README's table. `provenBy`: the requests whose response shows
 * that it is not IMDS; both, unless it says otherwise.
 */
const FOREIGN = {
  "something else answers with HTML": [
    { status: 200, headers: { ...html, Server: "nginx" }, body: page },
    { status: 403, headers: { ...html, Server: "squid/6" }, body: page },
    { status: 404, headers: { ...html, Server: "nginx" }, body: page },
    { status: 502, headers: { ...html, Server: "nginx" }, body: page },
    { status: 503, headers: { Server: "awselb/2.0" }, body: page },
  ],
  "something else answers with a redirect": [
    { status: 302, headers: { Location: "http://169.254.169.254/portal", Server: "portal" }, body: "" },
    { status: 307, headers: { ...html, Location: "https://login.example/", Server: "portal" }, body: page },
  ],
  "something else answers with JSON": [
    { status: 200, headers: { ...json, Server: "envoy" }, body: '{"status":"ok"}' },
    { status: 404, headers: { ...json, Server: "kong/3" }, body: '{"message":"no Route matched"}' },
  ],
  "something else answers with 401": [
    { status: 401, headers: { ...html, Server: "EC2ws" }, body: xhtml },
    { status: 401, headers: { Server: "EC2ws" }, body: "", provenBy: ["probe"] },
  ],
  "something else answers with 403 and a text": [
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

/** Each other situation of README's table: what answers, with options; what a chain's error is called. */
const OTHERS = {
  "something else answers in another protocol": { any: "SSH-2.0-OpenSSH_9.6\r\n" },
  "a container's host answers in place of IMDS": {
    any: { status: 403, headers: {}, body: "dial tcp 169.254.169.254:80: connectex: A socket operation" },
  },
  "the connection is accepted, but neither the probe nor a token request is answered in time": { any: null },
  "IMDS does not know the identity": {
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

const where = skipReason === undefined ? test : test.skip;
const whereUnanswered = unansweredSkipReason === undefined ? test : test.skip;

test("README's table has every situation", (t) => {
  if (skipReason !== undefined) t.log(`skipped: ${skipReason}`);
  if (unansweredSkipReason !== undefined) t.log(`skipped: ${unansweredSkipReason}`);
  t.deepEqual(
    defaultAddressRows.map(({ situation }) => situation).sort(),
    [...Object.keys(FOREIGN), ...Object.keys(OTHERS), ...WITHOUT_SERVER].sort(),
  );
});

function rowOf(situation) {
  return defaultAddressRows.find((row) => row.situation === situation);
}

/** So many processes run at one time: the tests have limits of time. */
const MOST = 4;
const waiting = [];
let running = 0;

/** Runs a program in a process that has the address. */
async function atAddress(t, program, argument, command = ownAddressCommand) {
  if (running === MOST) {
    await new Promise((resolve) => {
      waiting.push(resolve);
    });
  } else {
    running += 1;
  }
  try {
    return await runProcess(t, program, { env, argument, command });
  } finally {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  }
}

/** What getToken and acquireToken bring, as a chain and a caller see it. */
async function outcomes({ native, require, argument, report }) {
  const { serveAtImdsAddress, getTokenFromChain } = require("./imds-address.cjs");
  const server = argument.answers && (await serveAtImdsAddress(argument.answers));
  const application = new native.ManagedIdentityApplication({ system: argument.system });
  const error = await application.getToken("https://vault.azure.net/.default").catch((thrown) => thrown);
  const before = server?.requests.length;
  const chain = await getTokenFromChain(application);
  const { available, reason } = await application.isAvailable();
  report({
    error: { name: error.name, code: error.code, isOne: error instanceof native.CredentialUnavailableError },
    requests: server?.requests,
    later: server?.requests.slice(before),
    chain,
    available,
    reason,
  });
  server?.close();
}

for (const [situation, answers] of Object.entries(FOREIGN)) {
  for (const [index, { provenBy = ["probe", "token"], ...any }] of answers.entries()) {
    const name = `${situation}, ${index + 1} (${any.status}, Server: ${any.headers.Server ?? "none"})`;
    where(`${name}: a chain moves on at once; not available; acquireToken says what answers`, async (t) => {
      const program = async ({ native, require, argument, report }) => {
        const { serveAtImdsAddress, getTokenFromChain, doctor } = require("./imds-address.cjs");
        const server = await serveAtImdsAddress(argument);
        const application = new native.ManagedIdentityApplication();
        const chain = await getTokenFromChain(application);
        const requests = server.requests.length;
        const once = new native.ManagedIdentityApplication({ system: { disableInternalRetries: true } });
        const error = await once.acquireToken("https://vault.azure.net").catch((thrown) => thrown);
        report({
          chain,
          requests,
          availability: await application.isAvailable(),
          source: await application.getManagedIdentitySourceAsync(),
          error: { name: error.name, code: error.code, statusCode: error.statusCode, message: error.message },
          doctor: await doctor(require),
        });
        server.close();
      };
      const [found] = await atAddress(t, program, { any });
      const { code, movesOn } = rowOf(situation);
      t.true(movesOn);
      t.is(found.chain.token, "the-next");
      t.true(found.chain.ms < SOON_MS, `${found.chain.ms}`);
      t.true(found.requests <= 2, "the probe, and at most one token request");
      t.deepEqual([found.error.name, found.error.code], ["ManagedIdentityError", code]);
      t.is(found.error.statusCode, any.status);
      t.true(found.error.message.includes(`${any.status}`), found.error.message);
      const says = `Something other than .*status ${any.status}.*Server: ${any.headers.Server}`;
      if (provenBy.includes("token")) t.regex(found.error.message, new RegExp(says));
      const isProven = provenBy.includes("probe");
      t.is(found.availability.available, !isProven);
      t.is(found.source, isProven ? null : "Imds");
      if (!isProven) return;
      t.regex(found.availability.reason, new RegExp(says));
      t.is(found.doctor.exitCode, 3);
      t.false(found.doctor.endpoint.available);
      t.regex(found.doctor.endpoint.reason, new RegExp(says));
    });
  }
}

for (const [situation, answers] of Object.entries(OTHERS)) {
  const { code, movesOn } = rowOf(situation) ?? {};
  where(`${situation}: a chain ${movesOn ? "moves on" : "stops"}`, async (t) => {
    const system = { requestTimeout: SHORT_MS, disableInternalRetries: true };
    const [found] = await atAddress(t, outcomes, { answers, system });
    const name = movesOn ? "CredentialUnavailableError" : "ManagedIdentityError";
    t.deepEqual(found.error, { name, code, isOne: movesOn });
    t.is(found.chain.token, movesOn ? "the-next" : undefined);
    if (!movesOn) t.is(found.chain.name, "ManagedIdentityError");
  });
}

where("the connection is refused: a chain moves on", async (t) => {
  const [found] = await atAddress(t, outcomes, {});
  t.deepEqual(found.error, {
    name: "CredentialUnavailableError",
    code: rowOf("the connection is refused").code,
    isOne: true,
  });
  t.is(found.chain.token, "the-next");
  t.true(found.chain.ms < SOON_MS);
  t.false(found.available);
});

whereUnanswered("no connection is accepted: a chain moves on after the probe alone", async (t) => {
  const [found] = await atAddress(t, outcomes, {}, unansweredAddressCommand);
  const { code } = rowOf("no connection is accepted");
  t.deepEqual(found.error, { name: "CredentialUnavailableError", code, isOne: true });
  t.is(found.chain.token, "the-next");
  t.true(found.chain.ms < SOON_MS, `${found.chain.ms}`);
  t.false(found.available);
});

where(
  "an endpoint that stays silent has one token request; for five minutes its probe is enough",
  async (t) => {
    const [{ requests, later, chain }] = await atAddress(t, outcomes, {
      answers: { any: null },
      system: { requestTimeout: SHORT_MS },
    });
    t.deepEqual(requests.slice(0, 2), ["probe", "token"]);
    t.is(later[0], "probe");
    t.false(later.includes("token"));
    t.is(chain.token, "the-next");
  },
);

where("IMDS that is ten seconds late: a chain moves on, and then after the probe alone", async (t) => {
  const [{ error, later, chain }] = await atAddress(t, outcomes, { answers: { delay: 11_000 } });
  t.deepEqual([error.name, error.code], ["CredentialUnavailableError", "network_unavailable"]);
  t.false(later.includes("token"));
  t.is(chain.token, "the-next");
  t.true(chain.ms < SOON_MS, `${chain.ms}`);
});

for (const delay of [1_500, 2_500]) {
  where(`IMDS that needs ${delay} ms for an answer gives a token, and is not probed again`, async (t) => {
    const program = async ({ native, require, argument, report }) => {
      const { serveAtImdsAddress, getTokenFromChain } = require("./imds-address.cjs");
      const server = await serveAtImdsAddress(argument);
      const application = new native.ManagedIdentityApplication();
      report(await getTokenFromChain(application));
      report(await getTokenFromChain(application, "https://storage.azure.com/.default"));
      report(server.requests);
      server.close();
    };
    const [first, second, requests] = await atAddress(t, program, { delay });
    t.deepEqual([first.token, second.token], ["imds-token", "imds-token"]);
    t.deepEqual(requests, ["probe", "token", "token"]);
  });
}

where("an answer of IMDS to acquireToken is remembered: no probe is sent", async (t) => {
  const program = async ({ native, require, report }) => {
    const { serveAtImdsAddress, getTokenFromChain } = require("./imds-address.cjs");
    const server = await serveAtImdsAddress({ delay: 1_500 });
    const application = new native.ManagedIdentityApplication();
    await application.acquireToken("https://vault.azure.net");
    report(await getTokenFromChain(application, "https://storage.azure.com/.default"));
    report(server.requests);
    server.close();
  };
  const [{ token }, requests] = await atAddress(t, program);
  t.is(token, "imds-token");
  t.deepEqual(requests, ["token", "token"]);
});

const updated = (status) => ({ status, headers: html, body: "" });
const nmi = { status: 404, headers: {}, body: "no AzureAssignedIdentity found for pod:default/app\n" };
const nmiToken = {
  status: 200,
  headers: {},
  body: JSON.stringify({ access_token: "nmi-token", expires_in: "86400", token_type: "Bearer" }),
};
for (const [what, answers, token] of [
  ["is being updated for a while", { probe: updated(503), tokens: [updated(503), nmiToken] }, "nmi-token"],
  ["has a stand-in in plain text, NMI", { probe: nmi, tokens: [nmiToken] }, "nmi-token"],
  ["has a stand-in without Server", { probe: updated(400), tokens: [nmiToken] }, "nmi-token"],
  ["is there", {}, "imds-token"],
]) {
  where(`IMDS that ${what} gives a token and is available`, async (t) => {
    const program = async ({ native, require, argument, report }) => {
      const { serveAtImdsAddress, getTokenFromChain } = require("./imds-address.cjs");
      const server = await serveAtImdsAddress(argument);
      const application = new native.ManagedIdentityApplication();
      report(await application.isAvailable());
      report(await getTokenFromChain(application));
      report(await application.getManagedIdentitySourceAsync());
      server.close();
    };
    const [availability, chain, source] = await atAddress(t, program, answers);
    t.deepEqual(availability, { available: true, source: "DefaultToImds" });
    t.is(chain.token, token);
    t.is(source, "Imds");
  });
}

for (const any of [
  FOREIGN["something else answers with HTML"][0],
  FOREIGN["something else answers with 401"][0],
]) {
  where(`for comparison: ManagedIdentityCredential before ${any.status} ${any.headers.Server}`, async (t) => {
    const program = async ({ require, argument, report }) => {
      const { ManagedIdentityCredential } = require("@azure/identity");
      const { serveAtImdsAddress, getTokenFromChain } = require("./imds-address.cjs");
      const server = await serveAtImdsAddress(argument);
      report(await getTokenFromChain(new ManagedIdentityCredential()));
      server.close();
    };
    const [{ token }] = await atAddress(t, program, { any });
    t.is(token, "the-next");
  });
}

where("a fault of this process itself: no port is left for a connection", async (t) => {
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
  const reports = await atAddress(t, program);
  t.deepEqual(reports, [
    ["ManagedIdentityError", "managed_identity_unreachable_network", "EADDRNOTAVAIL"],
    ["ManagedIdentityError", null],
  ]);
});
