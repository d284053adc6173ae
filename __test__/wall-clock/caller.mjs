// A process that acquires tokens from one application on request of its parent, and whose clocks the parent moves. It
// reports the hash of a token, never the token.

import { createHash } from "node:crypto";
import { channel } from "node:diagnostics_channel";
import { createRequire } from "node:module";
import { inspect } from "node:util";
import { serveMessages, setEnvironment } from "../support/faketime-child.mjs";

const { LogLevel, ManagedIdentityApplication } = createRequire(import.meta.url)("managed-identity-native");

const channelMessages = [];
const refreshEvents = [];
const logLines = [];
setEnvironment({});
channel("managed-identity-native:refresh").subscribe((message) => channelMessages.push(message));
const application = new ManagedIdentityApplication({
  system: {
    disableInternalRetries: true,
    loggerOptions: {
      loggerCallback: (_, line) => logLines.push(line),
      logLevel: LogLevel.Trace,
      piiLoggingEnabled: true,
    },
    onBackgroundTokenRefresh: (event) => refreshEvents.push(event),
  },
});

serveMessages(async ({ acquire: { env, resources, refreshes = 0 } }) => {
  setEnvironment(env);
  const results = await Promise.all(resources.map((resource) => application.acquireToken(resource)));
  // Refresh events are delivered through the event loop: wait for as many as the parent expects.
  while (channelMessages.length < refreshes) await new Promise((resolve) => setImmediate(resolve));
  return {
    results: results.map(({ accessToken, fromCache }) => ({
      token: createHash("sha256").update(accessToken).digest("hex"),
      fromCache,
    })),
    refreshes: refreshEvents.map(({ successful, error }, index) => ({
      successful,
      code: error?.errorCode,
      channelCode: channelMessages[index]?.errorCode,
    })),
    observed: {
      refreshEvents: inspectAll(refreshEvents.map(withoutToken)),
      channelMessages: inspectAll(channelMessages),
      logLines: inspectAll(logLines),
    },
  };
});

/** A refresh event without the token of its result, which observers are meant to receive. */
function withoutToken({ result: { accessToken, ...result } = {}, ...event }) {
  return { ...event, result };
}

/** Everything that is visible in these values, including errors. */
function inspectAll(list) {
  return inspect(list, { depth: 10, showHidden: true, maxArrayLength: null, maxStringLength: null });
}
