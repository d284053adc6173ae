// The async context of a call: its log lines, events and requests are delivered in it, before the call settles, and
// nothing keeps it alive afterwards. Each test runs in a process of its own.

import test from "ava";
import { startEmulator } from "managed-identity-native/emulator";
import { runProcess } from "./support/child-program.mjs";

/**
 * Runs the body of a program. Returns its reports. `isEarly` starts the body in the same turn of the event loop in which
 * the package is loaded, before its resources exist.
 */
async function run(t, body, { flags = [], isEarly = false } = {}) {
  const endpoint = await startEmulator({ source: "app-service" });
  t.teardown(() => endpoint.close());
  const program = `async ({ native, require, report }) => {
    const { AsyncLocalStorage } = require("node:async_hooks");
    const { subscribe } = require("node:diagnostics_channel");
    const { ManagedIdentityApplication } = native;
    const storage = new AsyncLocalStorage();
    ${isEarly ? "" : "await null;"}
    ${body}
  }`;
  return await runProcess(t, program, { env: endpoint.env, flags });
}

test("log lines and events have the store of their call", async (t) => {
  const [seen] = await run(
    t,
    `
    const seen = [];
    const note = (kind) => seen.push([kind, storage.getStore()]);
    for (const name of ["request", "retry", "refresh"]) {
      subscribe("managed-identity-native:" + name, () => note(name));
    }
    const loggerCallback = () => note("line");
    const application = new ManagedIdentityApplication({ system: { loggerOptions: { loggerCallback, logLevel: 3 } } });
    const acquire = (store) =>
      storage.run(store, () => application.acquireToken("https://" + store + ".example"));
          await acquire("first");
      await Promise.all([acquire("second"), acquire("third")]);
      await application.acquireToken("https://without.example");
      report(seen.map(([kind, store]) => kind + " " + store));
  `,
  );
  t.deepEqual(
    seen.slice(0, 3),
    ["line first", "request first", "line first"],
    "the lines of the request and of the token surround the event",
  );
  for (const store of ["second", "third", "undefined"]) {
    t.deepEqual(
      seen.filter((entry) => entry.endsWith(` ${store}`)),
      [`line ${store}`, `request ${store}`, `line ${store}`],
    );
  }
  t.is(seen.length, 12);
});

test("a network client is called in the context of the call", async (t) => {
  const [stores] = await run(
    t,
    `
    const stores = [];
    const send = async () => {
      stores.push(storage.getStore());
      return { status: 200, headers: {}, body: { access_token: "a", expires_in: 3600 } };
    };
    const networkClient = { sendGetRequestAsync: send, sendPostRequestAsync: send };
    const application = new ManagedIdentityApplication({ system: { networkClient } });
          for (const store of ["first", "second"]) {
        await storage.run(store, () => application.acquireToken("https://" + store + ".example"));
      }
      await storage.run("probe", () => application.isAvailable());
      report(stores);
  `,
  );
  t.deepEqual(stores.slice(0, 2), ["first", "second"]);
});

test("a cache plug-in is called in the context of the call", async (t) => {
  const [stores] = await run(
    t,
    `
    const stores = [];
    const note = async () => { stores.push(storage.getStore()); };
    const cachePlugin = { beforeCacheAccess: note, afterCacheAccess: note };
    const application = new ManagedIdentityApplication({ cache: { cachePlugin } });
    for (const store of ["first", "second"]) {
      await storage.run(store, () => application.acquireToken("https://" + store + ".example"));
    }
    report([...new Set(stores)]);
  `,
  );
  t.deepEqual(stores, ["first", "second"]);
});

for (const [name, configuration, isEarly] of [
  ["without callbacks", "{}", false],
  ["with a logger", "{ system: { loggerOptions: { loggerCallback() {}, logLevel: 3 } } }", false],
  [
    "with a cache plug-in",
    "{ cache: { cachePlugin: { async beforeCacheAccess() {}, async afterCacheAccess() {} } } }",
    false,
  ],
  ["in the turn that loads the package", "{}", true],
]) {
  test(`the store of a call is collected: ${name}`, async (t) => {
    const collected = await run(
      t,
      `
      const application = new ManagedIdentityApplication(${configuration});
      const stores = [];
      const acquire = async (resource) => {
        const store = { resource };
        stores.push(new WeakRef(store));
        await storage.run(store, () => application.acquireToken(resource));
      };
      const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
              await acquire("https://first.example");
        await acquire("https://second.example");
        await acquire("https://second.example");
        for (let left = 200; left > 0 && stores.some((store) => store.deref()); left -= 1) {
          await turn();
          gc();
        }
        report(stores.map((store) => store.deref() === undefined));
      `,
      { flags: ["--expose-gc"], isEarly },
    );
    t.deepEqual(collected, [[true, true, true]]);
  });
}

test("all events of a call are delivered before it settles, also at the end of a script", async (t) => {
  const counts = [];
  for (let round = 0; round < 10; round += 1) {
    const lines = await run(
      t,
      `
      let events = 0;
      subscribe("managed-identity-native:request", () => { events += 1; });
      let written = 0;
      const loggerCallback = () => { written += 1; };
      const application = new ManagedIdentityApplication({ system: { loggerOptions: { loggerCallback } } });
      const seen = [];
              for (const name of ["a", "b", "c"]) {
          await application.acquireToken("https://" + name + ".example");
          seen.push([events, written]);
        }
        report(seen);
        process.on("exit", () => report([events, written]));
      `,
    );
    counts.push(lines);
  }
  const expected = [
    [
      [1, 2],
      [2, 4],
      [3, 6],
    ],
    [3, 6],
  ];
  t.deepEqual(
    counts,
    Array.from({ length: 10 }, () => expected),
  );
});
