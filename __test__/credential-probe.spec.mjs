// getToken where nothing is configured: IMDS's own address is probed before the first token request. It is played
// by a network client, in processes of their own. Its time limit is tested in src/acquisition/tests/probe.rs.

import { createRequire } from "node:module";
import test from "ava";
import { getToken, SCOPE } from "./support/credential.mjs";
import { RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { runProcess } from "./support/program.mjs";

const { IMDS } = createRequire(import.meta.url)("./support/imds-client.cjs");

const OTHER = "https://storage.azure.com";
const env = { AZURE_POD_IDENTITY_AUTHORITY_HOST: undefined };
const PROBE = { url: IMDS, resource: null, query: [], hasMetadata: false };

function tokenRequest(resource) {
  return { url: IMDS, resource, query: ["api-version", "resource"], hasMetadata: true };
}

test("the probe goes first, alone and without what a token is given for; it is asked once", async (t) => {
  const program = async ({ native, require, argument, report }) => {
    const { imdsClient, probes } = require("./imds-client.cjs");
    let answer;
    const answered = new Promise((resolve) => {
      answer = resolve;
    });
    let arrive;
    const arrived = new Promise((resolve) => {
      arrive = resolve;
    });
    const networkClient = imdsClient(() => {
      arrive();
      return answered;
    });
    const { requests } = networkClient;
    const application = new native.ManagedIdentityApplication({ system: { networkClient } });
    const call = application.getToken([argument.SCOPE]);
    await arrived;
    report(requests);
    answer(probes.answered());
    report((await call).token);
    await application.getToken(argument.OTHER);
    await new native.ManagedIdentityApplication({ system: { networkClient } }).getToken(argument.SCOPE, {
      enableCae: true,
    });
    native.ManagedIdentityApplication.clearCache();
    await application.getToken(argument.SCOPE);
    report(requests);
  };
  const [before, token, all] = await runProcess(t, program, { env, argument: { SCOPE, OTHER } });
  t.deepEqual(before, [PROBE]);
  t.is(token, "a-token");
  const cae = { ...tokenRequest(RESOURCE), query: ["api-version", "resource", "xms_cc"] };
  t.deepEqual(all, [PROBE, tokenRequest(RESOURCE), tokenRequest(OTHER), cae, tokenRequest(RESOURCE)]);
});

for (const [found, status] of [
  ["answered", 400],
  ["broken", 500],
  ["missing", 404],
]) {
  test(`a ${status} answers the probe: a token is asked for`, async (t) => {
    const program = async ({ native, require, argument, report }) => {
      const { imdsClient, probes } = require("./imds-client.cjs");
      const networkClient = imdsClient(probes[argument.found]);
      const application = new native.ManagedIdentityApplication({ system: { networkClient } });
      const calls = Array.from({ length: 200 }, () => application.getToken([argument.SCOPE]));
      report(new Set((await Promise.all(calls)).map(({ token }) => token)).size);
      report(networkClient.requests);
    };
    const [tokens, requests] = await runProcess(t, program, { env, argument: { found, SCOPE } });
    t.is(tokens, 1);
    t.deepEqual(requests, [PROBE, tokenRequest(RESOURCE)], "for two hundred callers");
  });
}

for (const [found, what] of [
  ["refused", "is refused"],
  ["silent", "gets no answer"],
  ["container", "is answered by a container's host"],
]) {
  test(`a probe that ${what}: no managed identity; not remembered, and without effect on acquireToken`, async (t) => {
    const program = async ({ native, require, argument, report }) => {
      const { imdsClient, probes } = require("./imds-client.cjs");
      const networkClient = imdsClient(() => probes[argument.found]());
      const application = new native.ManagedIdentityApplication({ system: { networkClient } });
      const failures = await Promise.allSettled([
        application.getToken([argument.SCOPE]),
        application.getToken([argument.SCOPE]),
      ]);
      for (const { reason } of failures) {
        const isOne = reason instanceof native.CredentialUnavailableError;
        report({ isOne, name: reason.name, code: reason.code, endpoint: reason.endpoint });
      }
      await application.getToken(argument.SCOPE).catch(() => undefined);
      report(networkClient.requests);
      await application.acquireToken(argument.SCOPE);
      // What acquireToken brought is served without a probe.
      await application.getToken([argument.SCOPE]);
      report(networkClient.requests);
      // The answer to acquireToken is remembered: no probe is sent any more.
      await application.getToken(argument.OTHER);
      report(networkClient.requests);
    };
    const reports = await runProcess(t, program, { env, argument: { found, SCOPE, OTHER } });
    const [first, second, probed, acquired, remembered] = reports;
    for (const error of [first, second]) {
      t.deepEqual(error, {
        isOne: true,
        name: "CredentialUnavailableError",
        code: "managed_identity_unreachable_network",
        endpoint: IMDS,
      });
    }
    t.deepEqual(probed, [PROBE, PROBE], "one for those who came together, one for who came later");
    t.deepEqual(acquired, [PROBE, PROBE, tokenRequest(RESOURCE)]);
    t.deepEqual(remembered, [PROBE, PROBE, tokenRequest(RESOURCE), tokenRequest(OTHER)]);
  });
}

for (const source of ["imds", "app-service"]) {
  test(`a configured endpoint is not probed: ${source}`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    await getToken(endpoint, SCOPE);
    t.deepEqual(
      endpoint.requests.map(({ query }) => query.resource),
      [RESOURCE],
    );
  });
}
