// Unhandled errors in web frameworks: what docs/errors.md says about them, and its recipes, which are run as they are
// printed there.

import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import test from "ava";
import express from "express";
import fastify from "fastify";
import Koa from "koa";
import { ManagedIdentityError } from "managed-identity-native";
import sinon from "sinon";
import { acquireWithoutRetries, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(join(root, "docs", "errors.md"), "utf8");
const [WRAPPING, HANDLING] = [...page.matchAll(/^```js\n(.*?)^```$/gms)]
  .map(([, code]) => code)
  .filter((code) => code.includes("upstreamToken") || code.includes("express"));

/** An error whose `statusCode` is 403, as `acquireToken` rejects with if the identity endpoint responds with 403. */
async function makeForbiddenError(t) {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 403 });
  const error = await t.throwsAsync(acquireWithoutRetries(endpoint), { instanceOf: ManagedIdentityError });
  t.is(error.statusCode, 403);
  return { error, endpoint };
}

/** Imports a snippet of the page. It lies in the package, so that it can import the package by its name. */
async function importSnippet(t, code) {
  mkdirSync(join(root, "target"), { recursive: true });
  const directory = mkdtempSync(join(root, "target", "web-frameworks-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, "snippet.mjs");
  writeFileSync(file, code);
  return import(pathToFileURL(file).href);
}

/** Starts a server for one request to `/`, and returns the status and the body of its response. */
async function request(t, listener) {
  const server = createServer(listener);
  t.teardown(() => server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const response = await fetch(`http://127.0.0.1:${server.address().port}/`);
  return { status: response.status, body: await response.text() };
}

/**
 * For each row of the page's table, a function that starts a service of which every request calls `handle`. It resolves
 * with the response, and with the errors that the service logged.
 */
const services = {
  "Express 5, `NODE_ENV=production`": (t, handle) => callExpress(t, handle, "production"),
  "Express 5, otherwise": (t, handle) => callExpress(t, handle, "development"),
  "Koa 3": async (t, handle) => {
    const app = new Koa();
    const logged = [];
    app.on("error", (error) => logged.push(error));
    app.use(handle);
    return { ...(await request(t, app.callback())), logged };
  },
  "Fastify 5": async (t, handle) => {
    const app = fastify();
    const logged = [];
    t.teardown(() => app.close());
    app.addHook("onError", async (_request, _reply, error) => logged.push(error));
    app.get("/", handle);
    await app.ready();
    return { ...(await request(t, (message, response) => app.routing(message, response))), logged };
  },
};

/** Express logs to the console, after the response. */
async function callExpress(t, handle, environment) {
  const log = sinon.stub(console, "error");
  t.teardown(() => log.restore());
  const logged = new Promise((resolve) => log.callsFake((error) => resolve([error])));
  const app = express();
  app.set("env", environment);
  app.get("/", handle);
  return { ...(await request(t, app)), logged: await logged };
}

/** The content of the body, for the same rows. */
const SHOWN = {
  "Express 5, `NODE_ENV=production`": { endpoint: false, message: false, text: "Forbidden" },
  "Express 5, otherwise": { endpoint: true, message: true, text: "ManagedIdentityError" },
  "Koa 3": { endpoint: false, message: false, text: "Forbidden" },
  "Fastify 5": { endpoint: true, message: true, text: '"code":"managed_identity_failed_response"' },
};

for (const [name, call] of Object.entries(services)) {
  test.serial(`${name}: the status of an unhandled error reaches the client, as the page says`, async (t) => {
    const { error, endpoint } = await makeForbiddenError(t);
    const { status, body } = await call(t, () => {
      throw error;
    });
    const { text, ...shown } = SHOWN[name];
    t.is(status, 403);
    t.true(body.includes(text), body);
    t.deepEqual(
      { endpoint: body.includes(endpoint.origin), message: body.includes("answered 403") },
      shown,
      body,
    );
    t.regex(page, new RegExp(`^\\| ${name} \\| 403 \\|`, "m"));
  });

  test.serial(
    `${name}: a wrapped error is a 500 without its details, and is logged with its cause`,
    async (t) => {
      const { endpoint } = await makeForbiddenError(t);
      const { upstreamToken } = await importSnippet(t, WRAPPING);
      const { status, body, logged } = await call(t, () =>
        withEnvironment(endpoint.env, () => upstreamToken("https://vault.azure.net")),
      );
      t.is(status, 500);
      t.false(body.includes(endpoint.origin), body);
      t.false(body.includes("managed_identity"), body);
      t.is(logged.length, 1);
      t.true(logged[0].cause instanceof ManagedIdentityError);
      t.is(logged[0].cause.statusCode, 403);
    },
  );
}

test.serial(
  "the handler for Express chooses the status by whether another attempt may succeed",
  async (t) => {
    const log = sinon.stub(console, "error");
    t.teardown(() => log.restore());
    const route = `app.get("/", () => { throw globalThis.errorOfTheRoute; });\n`;
    const code = HANDLING.replace(/^const app = express\(\);\n/m, (line) => `export ${line}${route}`);
    const { app } = await importSnippet(t, code);
    t.teardown(() => delete globalThis.errorOfTheRoute);
    for (const [retryable, expected] of [
      [true, 503],
      [false, 500],
    ]) {
      globalThis.errorOfTheRoute = new ManagedIdentityError("invalid_request", "an id", {
        message: "a message",
        statusCode: 403,
        retryable,
      });
      const { status, body } = await request(t, app);
      t.deepEqual(
        { status, body: JSON.parse(body) },
        { status: expected, body: { error: "invalid_request" } },
      );
    }
    t.deepEqual(log.firstCall.args, ["invalid_request", "an id", "invalid_request: a message"]);
  },
);
