// A process that asks for tokens as its parent says, keeps its application, and sets its own clocks. Of a token it
// reports a hash.

import { createHash } from "node:crypto";
import { channel } from "node:diagnostics_channel";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("../../index.js");
const { environmentVariables } = require("../../binding.js");
const names = environmentVariables();

const told = [];
const refreshes = [];
channel("managed-identity-native:refresh").subscribe((message) => told.push(message));
const application = new ManagedIdentityApplication({
  system: {
    disableInternalRetries: true,
    onBackgroundTokenRefresh: ({ successful, error }) =>
      refreshes.push({ successful, code: error?.errorCode }),
  },
});

process.on("message", async ({ id, leap, ask }) => {
  if (leap !== undefined) {
    writeFileSync(process.env.FAKETIME_TIMESTAMP_FILE, `${leap < 0 ? "" : "+"}${leap}`);
    process.send({ id });
    return;
  }
  for (const name of names) delete process.env[name];
  Object.assign(process.env, ask.env);
  try {
    const results = await Promise.all(ask.resources.map((resource) => application.acquireToken(resource)));
    // Waits for as many refreshes as the parent says: they are told through the event loop.
    while (told.length < (ask.refreshes ?? 0)) await new Promise((resolve) => setImmediate(resolve));
    process.send({
      id,
      served: results.map(({ accessToken, fromCache }) => ({
        token: createHash("sha256").update(accessToken).digest("hex"),
        fromCache,
      })),
      refreshes: refreshes.map((one, index) => ({ ...one, told: told[index]?.errorCode })),
    });
  } catch (error) {
    process.send({ id, error: error.message });
  }
});
process.send({ ready: true });
