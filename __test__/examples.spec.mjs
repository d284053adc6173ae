// Runs every example unchanged, against the emulator.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { userAssignedIdentity } from "managed-identity-native/emulator";
import { testWith } from "./support/capabilities.mjs";
import { startEndpoint } from "./support/endpoint.mjs";
import { environmentWith } from "./support/environment.mjs";

function example(path) {
  return fileURLToPath(new URL(`../examples/${path}`, import.meta.url));
}

async function run(env, ...args) {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { env: environmentWith(env) });
  return { lines: stdout.trim().split("\n"), stderr };
}

/** Starts an API that records the Authorization header of each request. */
async function startApi(t, status = 200) {
  const authorizations = [];
  const api = createServer((request, response) => {
    authorizations.push(request.headers.authorization);
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end('{"orders":3}');
  });
  api.listen(0, "127.0.0.1");
  await once(api, "listening");
  t.teardown(() => api.close());
  return { url: `http://127.0.0.1:${api.address().port}`, authorizations };
}

test("shortest: prints when the token expires", async (t) => {
  const endpoint = await startEndpoint(t);
  const { lines, stderr } = await run(endpoint.env, example("shortest.js"));
  t.is(stderr, "");
  t.regex(lines[0], /^A token until 20\d\d-\d\d-\d\dT\S+Z\.$/);
  t.is(endpoint.requests.length, 1);
});

test("env-file: settings and identity are read from a file", async (t) => {
  const endpoint = await startEndpoint(t);
  const directory = mkdtempSync(join(tmpdir(), "env-file-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, ".env");
  const variables = { ...endpoint.env, RESOURCE: "https://graph.microsoft.com" };
  writeFileSync(
    file,
    Object.entries(variables)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(""),
  );
  const { lines, stderr } = await run({}, `--env-file=${file}`, example("env-file/script.mjs"));
  t.is(stderr, "");
  t.regex(lines[0], /^AppService: a token of \d+ characters$/);
  t.is(endpoint.requests[0].query.resource, "https://graph.microsoft.com");
});

test("worker-pool: four threads send one request", async (t) => {
  const endpoint = await startEndpoint(t);
  const { lines, stderr } = await run(endpoint.env, example("worker-pool/pool.mjs"));
  t.is(stderr, "");
  t.is(lines.at(-1), "1 token for 4 threads");
  t.is(endpoint.requests.length, 1);
});

/** Starts the service with Express. `order(signal)` sends it a request for an order. */
async function startExpress(t, api, env) {
  // Express does not log errors if NODE_ENV is "test", which ava sets.
  const settings = { API_URL: api.url, API_RESOURCE: "api://orders", PORT: "0", NODE_ENV: "production" };
  const service = spawn(process.execPath, [example("express/server.mjs")], {
    env: environmentWith({ ...settings, ...env }),
  });
  t.teardown(() => service.kill("SIGKILL"));
  const [line] = await once(service.stdout, "data");
  const origin = `http://127.0.0.1:${/listening on (\d+)/.exec(line)[1]}`;
  const order = (signal) =>
    fetch(`${origin}/orders`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: '{"item":5}',
      signal,
    });
  return { service, origin, order };
}

test("express: a refusal of the user-assigned identity by the API is an error of the service", async (t) => {
  const [endpoint, api] = await Promise.all([startEndpoint(t), startApi(t, 403)]);
  const { clientId } = userAssignedIdentity;
  const { service, order } = await startExpress(t, api, { ...endpoint.env, AZURE_CLIENT_ID: clientId });
  const [response, [logged]] = await Promise.all([order(), once(service.stderr, "data")]);
  t.is(response.status, 500);
  t.notRegex(await response.text(), /orders|403/);
  t.regex(String(logged), /refused the identity of this service with 403/);
  t.is(endpoint.requests[0].query.client_id, clientId);
});

testWith(test, "signals")(
  "express: a route that calls an API, readiness, aborted requests and graceful shutdown",
  async (t) => {
    const [endpoint, api] = await Promise.all([startEndpoint(t), startApi(t)]);
    const { service, origin, order } = await startExpress(t, api, {
      ...endpoint.env,
      NODE_ENV: "development",
    });
    // A client that disconnects while the token is requested causes no error and does not affect other clients.
    const errors = [];
    service.stderr.on("data", (chunk) => errors.push(chunk));
    const release = endpoint.hold();
    const controller = new AbortController();
    const first = t.throwsAsync(order(controller.signal), { any: true });
    await endpoint.waitForRequests(1);
    controller.abort();
    await first;
    await fetch(`${origin}/nothing`); // The response shows that the service has noticed the disconnect.
    release();
    const response = await order();
    t.deepEqual([response.status, await response.json()], [200, { orders: 3 }]);
    t.regex(api.authorizations[0], /^Bearer .+\..+\..+$/);
    t.is(endpoint.requests[0].query.resource, "api://orders");
    t.deepEqual(await (await fetch(`${origin}/ready`)).json(), { available: true });
    service.kill("SIGTERM");
    const [code] = await once(service, "exit");
    t.deepEqual([code, String(Buffer.concat(errors))], [0, ""]);
  },
);

test("functions: the handler is called as by a host", async (t) => {
  const [endpoint, api] = await Promise.all([startEndpoint(t), startApi(t)]);
  // The Functions host is not an npm package, so the test calls the handler itself.
  const program = `
    const { secret } = await import(${JSON.stringify(pathToFileURL(example("functions/secret.mjs")))});
    const logs = [];
    const context = { log: (line) => logs.push(line), error: (line) => logs.push(line) };
    const first = await secret({ params: { name: "one" } }, context);
    const second = await secret({ params: { name: "two" } }, context);
    console.log(JSON.stringify({ first, second, logs }));`;
  const env = { ...endpoint.env, VAULT_URL: api.url };
  const { lines } = await run(env, "--input-type=module", "-e", program);
  const { first, second, logs } = JSON.parse(lines.at(-1));
  t.deepEqual([first, second], [{ status: 200, jsonBody: { found: true } }, first]);
  t.regex(logs[0], /^token from IdentityProvider/);
  t.regex(logs[1], /^token from Cache/);
  t.is(endpoint.requests.length, 1);
});
