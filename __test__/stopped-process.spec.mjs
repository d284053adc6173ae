// A process that is stopped (SIGSTOP) while its response arrives: data in the socket is read before a timeout takes
// effect.

import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { startProcess } from "./support/child-program.mjs";
import { RESOURCE } from "./support/endpoint.mjs";
import { startTokenServer, tokenBody } from "./support/token-server.mjs";

/** Long enough for a request to arrive on a busy machine. */
const LIMIT = 5_000;
/** Longer than all timeouts. */
const STOP_MS = LIMIT + 1_000;

const TIMEOUTS = {
  "all timeouts": { system: { connectTimeout: LIMIT, requestTimeout: LIMIT, totalTimeout: LIMIT } },
  requestTimeout: { system: { requestTimeout: LIMIT } },
  totalTimeout: { system: { totalTimeout: LIMIT } },
  "timeout of the call": { timeout: LIMIT },
};

/** How the response is sent while the process is stopped. */
const RESPONSES = {
  "a response in one piece": (response) => response.end(tokenBody()),
  "a response in several pieces": async (response) => {
    const body = tokenBody();
    response.writeHead(200, { "Content-Type": "application/json" });
    for (let index = 0; index < body.length; index += 40) {
      response.write(body.slice(index, index + 40));
      await sleep(20);
    }
    response.end();
  },
};

for (const [timeoutName, { system, timeout }] of Object.entries(TIMEOUTS)) {
  for (const [name, sendResponse] of Object.entries(RESPONSES)) {
    testWith(test, "signals")(`a process stopped longer than ${timeoutName} uses ${name}`, async (t) => {
      t.timeout(120_000);
      let arrive;
      const arrived = new Promise((resolve) => {
        arrive = resolve;
      });
      const endpoint = await startTokenServer(t, (_, response) => arrive(response));
      const { child, next } = startProcess(
        t,
        async ({ native, argument, report }) => {
          const application = new native.ManagedIdentityApplication({
            system: { disableInternalRetries: true, ...argument.system },
          });
          const { resource, timeout } = argument;
          const outcome = await application.acquireToken({ resource, timeout }).then(
            ({ accessToken }) => accessToken,
            ({ message }) => message,
          );
          report(outcome);
        },
        { argument: { resource: RESOURCE, system, timeout }, env: endpoint.env },
      );
      const response = await arrived;
      child.kill("SIGSTOP");
      await sendResponse(response);
      await sleep(STOP_MS);
      child.kill("SIGCONT");
      t.is(await next(), "a-token");
    });
  }
}
