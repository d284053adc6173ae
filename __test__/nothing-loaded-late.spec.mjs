// Nothing is loaded from disk after the package was loaded: its folder may be replaced by an update, and no file
// descriptor may be free when a call is the first to need a part of it.

import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { platformFolder, readManifest, root } from "./packaging/packages.mjs";
import { testWith } from "./support/capabilities.mjs";
import { runProcess } from "./support/child-program.mjs";
import { startEndpoint } from "./support/endpoint.mjs";

/** A folder with the package and its add-on as npm installs them. */
function install(t) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "late-")));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const { name, files } = readManifest(root);
  const modules = join(folder, "node_modules");
  for (const file of ["package.json", ...files].filter((path) => existsSync(join(root, path)))) {
    cpSync(join(root, file), join(modules, name, file), { recursive: true });
  }
  const platform = join(modules, `${name}-${platformFolder()}`);
  const { main } = readManifest(join(root, "npm", platformFolder()));
  mkdirSync(platform);
  cpSync(join(root, "npm", platformFolder(), "package.json"), join(platform, "package.json"));
  cpSync(join(root, main), join(platform, main));
  return join(modules, name);
}

/**
 * Loads the package, acquires a token, prevents files from being opened, and reports how every kind of call that a
 * memoized token or native code alone can answer ends. Sent to a process as its text.
 */
async function program({ require, argument: { path, prevent }, report }) {
  const { openSync, renameSync } = require("node:fs");
  const native = require(path);
  const { ManagedIdentityApplication, ManagedIdentityError, ManagedIdentityId } = native;
  const resource = "https://vault.azure.net";
  const application = new ManagedIdentityApplication();
  const { accessToken } = await application.acquireToken(resource);
  let count = 0;
  /** A resource without a token in the cache. */
  const nextResource = () => {
    count += 1;
    return `https://${count}.example`;
  };
  // Node.js loads these for its own console and for its own errors.
  require("node:util").inspect(new Error("x"));
  if (prevent === "removal") {
    renameSync(path, `${path}-removed`);
  } else {
    try {
      for (;;) openSync("/dev/null");
    } catch (error) {
      if (error.code !== "EMFILE") throw error;
    }
  }
  const plugin = { beforeCacheAccess: async () => undefined, afterCacheAccess: async () => undefined };
  const networkClient = {
    sendGetRequestAsync: async () => ({
      status: 200,
      headers: {},
      body: { access_token: "another", expires_in: 3600, token_type: "Bearer" },
    }),
    sendPostRequestAsync: async () => undefined,
  };
  const withLogger = { system: { networkClient, loggerOptions: { loggerCallback: () => undefined } } };
  const abort = new AbortController();
  const calls = {
    getToken: () => application.getToken([`${resource}/.default`]),
    abortSignal: () => application.acquireToken({ resource, abortSignal: abort.signal }),
    "abortSignal of a call under way": () => {
      const request = { resource: nextResource(), abortSignal: abort.signal };
      const call = new ManagedIdentityApplication(withLogger).acquireToken(request);
      abort.abort(new Error("aborted"));
      return call.catch((error) => error.message);
    },
    "logger and network client": () =>
      new ManagedIdentityApplication(withLogger).acquireToken(nextResource()),
    "cache plug-in": () =>
      new ManagedIdentityApplication({ ...withLogger, cache: { cachePlugin: plugin } }).acquireToken(
        nextResource(),
      ),
    onBackgroundTokenRefresh: () =>
      new ManagedIdentityApplication({
        system: { networkClient, onBackgroundTokenRefresh: () => undefined },
      }).acquireToken(nextResource()),
    fromEnvironment: () => ManagedIdentityApplication.fromEnvironment({}).acquireToken(resource),
    ManagedIdentityId: () =>
      ManagedIdentityId.withUserAssignedClientId("9b1c5a4e-0c3d-4f6e-8a7b-1d2e3f4a5b6c"),
    "misspelt option": () => {
      try {
        return new ManagedIdentityApplication({ clientId: "x" });
      } catch (error) {
        return error.errorCode;
      }
    },
    isManagedIdentityError: () => native.isManagedIdentityError(new ManagedIdentityError("a", "b")),
    inspect: () => require("node:util").inspect(application),
    subscriber: async () => {
      let messages = 0;
      const { subscribe } = require("node:diagnostics_channel");
      subscribe("managed-identity-native:acquire:end", () => {
        messages += 1;
      });
      await new Promise(setImmediate); // Subscribers are looked for once in each turn of the event loop.
      await application.acquireToken(resource);
      return messages;
    },
    "https endpoint": async () => {
      const { IDENTITY_ENDPOINT } = process.env;
      process.env.IDENTITY_ENDPOINT = IDENTITY_ENDPOINT.replace("http:", "https:");
      const { errorCode } = await new ManagedIdentityApplication({
        system: { disableInternalRetries: true },
      })
        .acquireToken(nextResource())
        .catch((error) => error);
      process.env.IDENTITY_ENDPOINT = IDENTITY_ENDPOINT;
      return errorCode;
    },
  };
  for (const [name, call] of Object.entries(calls)) {
    try {
      const outcome = await call();
      const token = outcome?.token ?? outcome?.accessToken;
      report({ name, outcome: token === accessToken ? "the cached token" : (token ?? outcome) });
    } catch (error) {
      report({ name, error: String(error) });
    }
  }
  process.exit(0); // Subscribers and descriptors are left as they are.
}

for (const [prevent, command] of [
  ["removal", []],
  ["descriptors", ["sh", "-c", 'ulimit -n 64 && exec "$@"', "sh"]],
]) {
  const when = { removal: "the package's folder was removed", descriptors: "no file descriptor is free" }[
    prevent
  ];
  const capabilities = prevent === "descriptors" ? ["resource limits"] : [];
  testWith(test, ...capabilities)(`every call works after ${when}`, async (t) => {
    const endpoint = await startEndpoint(t);
    const path = install(t);
    const reports = await runProcess(t, program, { argument: { path, prevent }, env: endpoint.env, command });
    t.deepEqual(
      reports.filter(({ error }) => error !== undefined),
      [],
    );
    const outcomes = Object.fromEntries(reports.map(({ name, outcome }) => [name, outcome]));
    t.like(outcomes, {
      getToken: "the cached token",
      abortSignal: "the cached token",
      "abortSignal of a call under way": "aborted",
      "logger and network client": "another",
      "cache plug-in": "another",
      onBackgroundTokenRefresh: "another",
      fromEnvironment: "the cached token",
      ManagedIdentityId: { userAssignedClientId: "9b1c5a4e-0c3d-4f6e-8a7b-1d2e3f4a5b6c" },
      "misspelt option": "invalid_configuration",
      isManagedIdentityError: true,
      inspect: "ManagedIdentityApplication { identity: 'system-assigned', source: 'AppService' }",
      subscriber: 1,
      "https endpoint": "managed_identity_unreachable_network",
    });
  });
}
