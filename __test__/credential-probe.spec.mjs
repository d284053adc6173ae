// `getToken` without configuration: IMDS's own address is probed before the first token request. A network client in a
// child process answers for IMDS. The Rust tests cover the time limit of the probe.

import { createRequire } from "node:module";
import test from "ava";
import { runProcess } from "./support/child-program.mjs";
import { getToken, SCOPE } from "./support/credential.mjs";
import { RESOURCE, startEndpoint } from "./support/endpoint.mjs";

const { IMDS } = createRequire(import.meta.url)("./support/imds-client.cjs");

const OTHER_RESOURCE = "https://storage.azure.com";
const env = { AZURE_POD_IDENTITY_AUTHORITY_HOST: undefined };
const PROBE = { url: IMDS, resource: null, query: [], hasMetadata: false };

function tokenRequest(resource) {
  return { url: IMDS, resource, query: ["api-version", "resource"], hasMetadata: true };
}

test("the probe is sent once, before the token request and without its parameters", async (t) => {
  const program = async ({ native, require, argument, report }) => {
    const { imdsClient, probes } = require("./imds-client.cjs");
    let respond;
    const responded = new Promise((resolve) => {
      respond = resolve;
    });
    let arrive;
    const arrived = new Promise((resolve) => {
      arrive = resolve;
    });
    const networkClient = imdsClient(() => {
      arrive();
      return responded;
    });
    const { requests } = networkClient;
    const application = new native.ManagedIdentityApplication({ system: { networkClient } });
    const call = application.getToken([argument.SCOPE]);
    await arrived;
    report(requests);
    respond(probes.responded());
    report((await call).token);
    await application.getToken(argument.OTHER_RESOURCE);
    await new native.ManagedIdentityApplication({ system: { networkClient } }).getToken(argument.SCOPE, {
      enableCae: true,
    });
    native.ManagedIdentityApplication.clearCache();
    await application.getToken(argument.SCOPE);
    report(requests);
  };
  const [before, token, all] = await runProcess(t, program, { env, argument: { SCOPE, OTHER_RESOURCE } });
  t.deepEqual(before, [PROBE]);
  t.is(token, "a-token");
  const cae = { ...tokenRequest(RESOURCE), query: ["api-version", "resource", "xms_cc"] };
  t.deepEqual(all, [
    PROBE,
    tokenRequest(RESOURCE),
    tokenRequest(OTHER_RESOURCE),
    cae,
    tokenRequest(RESOURCE),
  ]);
});

for (const [probe, status] of [
  ["responded", 400],
  ["broken", 500],
  ["missing", 404],
]) {
  test(`any response to the probe leads to a token request: status ${status}`, async (t) => {
    const program = async ({ native, require, argument, report }) => {
      const { imdsClient, probes } = require("./imds-client.cjs");
      const networkClient = imdsClient(probes[argument.probe]);
      const application = new native.ManagedIdentityApplication({ system: { networkClient } });
      const calls = Array.from({ length: 200 }, () => application.getToken([argument.SCOPE]));
      report(new Set((await Promise.all(calls)).map(({ token }) => token)).size);
      report(networkClient.requests);
    };
    const [tokens, requests] = await runProcess(t, program, { env, argument: { probe, SCOPE } });
    t.is(tokens, 1);
    t.deepEqual(requests, [PROBE, tokenRequest(RESOURCE)], "for two hundred calls");
  });
}

for (const [probe, description] of [
  ["refused", "is refused"],
  ["silent", "gets no response"],
  ["container", "is answered by a container host"],
]) {
  test(`a probe that ${description} rejects getToken; the failure is not remembered and does not affect acquireToken`, async (t) => {
    const program = async ({ native, require, argument, report }) => {
      const { imdsClient, probes } = require("./imds-client.cjs");
      const networkClient = imdsClient(() => probes[argument.probe]());
      const application = new native.ManagedIdentityApplication({ system: { networkClient } });
      const failures = await Promise.allSettled([
        application.getToken([argument.SCOPE]),
        application.getToken([argument.SCOPE]),
      ]);
      for (const { reason } of failures) {
        const isInstance = reason instanceof native.CredentialUnavailableError;
        report({ isInstance, name: reason.name, code: reason.code, endpoint: reason.endpoint });
      }
      await application.getToken(argument.SCOPE).catch(() => undefined);
      report(networkClient.requests);
      await application.acquireToken(argument.SCOPE);
      // The token of acquireToken is returned without a probe.
      await application.getToken([argument.SCOPE]);
      report(networkClient.requests);
      // IMDS has responded to acquireToken, so no probe is sent.
      await application.getToken(argument.OTHER_RESOURCE);
      report(networkClient.requests);
    };
    const reports = await runProcess(t, program, { env, argument: { probe, SCOPE, OTHER_RESOURCE } });
    const [first, second, probed, acquired, responded] = reports;
    for (const error of [first, second]) {
      t.deepEqual(error, {
        isInstance: true,
        name: "CredentialUnavailableError",
        code: "managed_identity_unreachable_network",
        endpoint: IMDS,
      });
    }
    t.deepEqual(probed, [PROBE, PROBE], "one for the concurrent calls, one for the later call");
    t.deepEqual(acquired, [PROBE, PROBE, tokenRequest(RESOURCE)]);
    t.deepEqual(responded, [PROBE, PROBE, tokenRequest(RESOURCE), tokenRequest(OTHER_RESOURCE)]);
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
