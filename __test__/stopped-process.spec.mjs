// A process that stands still while its answer arrives: what lies in the socket is read before a limit counts.

import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { RESOURCE } from "./support/endpoint.mjs";
import { startProcess } from "./support/program.mjs";
import { startTokenServer, tokenBody } from "./support/token-server.mjs";

/** All limits are over by then. */
const STANDSTILL = 4_000;
const canStop = process.platform !== "win32";

const LIMIT = 1_000;
const LIMITS = {
  "every limit": { system: { connectTimeout: LIMIT, requestTimeout: LIMIT, totalTimeout: LIMIT } },
  requestTimeout: { system: { requestTimeout: LIMIT } },
  totalTimeout: { system: { totalTimeout: LIMIT } },
  "timeout of the call": { timeout: LIMIT },
};

/** How the answer comes while the process stands still. */
const ANSWERS = {
  "an answer in one piece": (response) => response.end(tokenBody()),
  "an answer in pieces": async (response) => {
    const body = tokenBody();
    response.writeHead(200, { "Content-Type": "application/json" });
    for (let index = 0; index < body.length; index += 40) {
      response.write(body.slice(index, index + 40));
      await sleep(20);
    }
    response.end();
  },
};

for (const [limit, { system, timeout }] of Object.entries(LIMITS)) {
  for (const [name, answer] of Object.entries(ANSWERS)) {
    const run = canStop ? test : test.skip;
    run(`stopped and continued, ${limit}: ${name} is used`, async (t) => {
      t.timeout(60_000);
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
      await answer(response);
      await sleep(STANDSTILL);
      child.kill("SIGCONT");
      t.is(await next(), "a-token");
    });
  }
}
