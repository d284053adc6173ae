// A process that asks for tokens as its parent says, keeps its application, and sets its own clocks. Of a token it
// reports a hash.

import { createHash } from "node:crypto";
import { channel } from "node:diagnostics_channel";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { inspect } from "node:util";

const require = createRequire(import.meta.url);
const { LogLevel, ManagedIdentityApplication } = require("managed-identity-native");
const { environmentVariables } = require("../support/binding.cjs");
const names = environmentVariables();

const told = [];
const refreshes = [];
const lines = [];
channel("managed-identity-native:refresh").subscribe((message) => told.push(message));
const application = new ManagedIdentityApplication({
  system: {
    disableInternalRetries: true,
    loggerOptions: {
      loggerCallback: (_, line) => lines.push(line),
      logLevel: LogLevel.Trace,
      piiLoggingEnabled: true,
    },
    onBackgroundTokenRefresh: (event) => refreshes.push(event),
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
      refreshes: refreshes.map(({ successful, error }, index) => ({
        successful,
        code: error?.errorCode,
        told: told[index]?.errorCode,
      })),
      heard: {
        refreshes: everything(refreshes.map(withoutToken)),
        told: everything(told),
        lines: everything(lines),
      },
    });
  } catch (error) {
    process.send({ id, error: error.message });
  }
});

/** What an observer of refreshes is told, but for the token in a result, which it is meant to have. */
function withoutToken({ result: { accessToken, ...result } = {}, ...event }) {
  return { ...event, result };
}

/** All that can be seen of what was told, errors included. */
function everything(list) {
  return inspect(list, { depth: 10, showHidden: true, maxArrayLength: null, maxStringLength: null });
}

process.send({ ready: true });
