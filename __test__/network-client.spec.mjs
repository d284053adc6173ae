// `networkClient`: every request is sent through a custom HTTP client, and every behaviour of the client has a defined
// result.

import { createRequire } from "node:module";
import test from "ava";
import { startWorker } from "./support/child-program.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");

/** A client based on fetch, as a user would write it, that records its calls. */
function fetchClient({ asText = false } = {}) {
  const calls = [];
  const send = (method) => async (url, options) => {
    calls.push({ method, url, headers: options.headers, body: options.body });
    const response = await fetch(url, { method, redirect: "manual", ...options });
    const body = asText ? await response.text() : await response.json().catch(() => undefined);
    return { status: response.status, headers: Object.fromEntries(response.headers), body };
  };
  return { calls, sendGetRequestAsync: send("GET"), sendPostRequestAsync: send("POST") };
}

/** A client that returns the results of `respond`. */
function createClient(response) {
  return { sendGetRequestAsync: response, sendPostRequestAsync: response };
}

function applicationWith(networkClient, system = {}) {
  return new ManagedIdentityApplication({
    system: { disableInternalRetries: true, networkClient, ...system },
  });
}

const tokenBody = () => ({ access_token: "a-token", expires_in: "86400" });

for (const source of ["app-service", "imds", "machine-learning", "cloud-shell", "workload-identity"]) {
  test.serial(
    `${source}: every request is sent through the client with the source's headers and body`,
    async (t) => {
      const endpoint = await startEndpoint(t, source);
      const usesFetch = source !== "workload-identity";
      const client = usesFetch
        ? fetchClient({ asText: true })
        : createClient(async () => ({ status: 200, headers: {}, body: tokenBody() }));
      const result = await acquire(endpoint, `${RESOURCE}/${source}`, applicationWith(client));
      t.false(result.fromCache);
      if (!usesFetch) return;
      t.is(client.calls.length, 1);
      t.is(endpoint.requests.length, 1);
      const [request] = endpoint.requests;
      t.is(new URL(client.calls[0].url).search, new URL(request.rawUrl, endpoint.origin).search);
      for (const [name, value] of Object.entries(client.calls[0].headers)) {
        t.is(request.headers[name.toLowerCase()], value, name);
      }
    },
  );
}

test.serial("a response body may be an object, a string or bytes", async (t) => {
  const endpoint = await startEndpoint(t);
  const json = JSON.stringify(tokenBody());
  for (const [index, body] of [
    tokenBody(),
    json,
    Buffer.from(json),
    new TextEncoder().encode(json),
  ].entries()) {
    const client = createClient(async () => ({ status: 200, headers: {}, body }));
    const { accessToken } = await acquire(endpoint, `${RESOURCE}/body/${index}`, applicationWith(client));
    t.is(accessToken, "a-token");
  }
  t.is(endpoint.requests.length, 0);
});

test.serial("a rejection with a socket error code is treated and retried like that error", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const [code, errorCode] of [
    ["ECONNREFUSED", "managed_identity_unreachable_network"],
    ["ECONNRESET", "managed_identity_unreachable_network"],
    ["ETIMEDOUT", "network_unavailable"],
  ]) {
    const failing = createClient(() => Promise.reject(Object.assign(new Error("no way"), { code })));
    const error = await t.throwsAsync(
      () => acquire(endpoint, `${RESOURCE}/${code}`, applicationWith(failing)),
      {
        instanceOf: ManagedIdentityError,
        code: errorCode,
      },
    );
    t.is(error.cause.code, code);
    t.true(error.retryable);

    let attempts = 0;
    const recovering = createClient(async () => {
      attempts += 1;
      if (attempts === 1) throw Object.assign(new Error("not yet"), { code });
      return { status: 200, headers: {}, body: tokenBody() };
    });
    const retrying = applicationWith(recovering, { disableInternalRetries: false });
    t.is((await acquire(endpoint, `${RESOURCE}/again/${code}`, retrying)).accessToken, "a-token");
    t.is(attempts, 2);
  }
});

test.serial(
  "any other failure of the client is an error that describes it, and is not retried",
  async (t) => {
    const endpoint = await startEndpoint(t);
    const unreachable = "managed_identity_unreachable_network";
    const failed = "managed_identity_failed_response";
    const CASES = {
      "rejects with an error": [() => Promise.reject(new Error("boom")), unreachable, /boom/],
      "throws synchronously": [
        () => {
          throw new Error("bang");
        },
        unreachable,
        /bang/,
      ],
      "rejects with undefined": [() => Promise.reject(undefined), unreachable, /networkClient/],
      "rejects with a string": [() => Promise.reject("text"), unreachable, /networkClient/],
      "resolves with undefined": [async () => undefined, unreachable, /without an HTTP status/],
      "resolves with a number": [async () => 5, unreachable, /without an HTTP status/],
      "does not return a promise": [() => ({ status: 500, headers: {}, body: "" }), failed, /500/],
      "has a status of another type": [
        async () => ({ status: "200" }),
        unreachable,
        /without an HTTP status/,
      ],
      "has an impossible status": [async () => ({ status: 70_000 }), unreachable, /without an HTTP status/],
      "has no headers and no body": [async () => ({ status: 200 }), failed, /not a JSON object/],
      "has a body that is not JSON": [
        async () => ({ status: 200, body: "<html>" }),
        failed,
        /not a JSON object/,
      ],
      "has a body with a cycle": [
        async () => {
          const body = {};
          body.body = body;
          return { status: 200, body };
        },
        unreachable,
        /circular/,
      ],
      "has a body that is too large": [
        async () => ({ status: 200, body: " ".repeat(1_048_577) }),
        failed,
        /over 1 MiB/,
      ],
      "is a redirect": [
        async () => ({ status: 302, headers: { location: "http://127.0.0.1:1" }, body: "" }),
        failed,
        /redirect/,
      ],
    };
    for (const [name, [response, code, message]] of Object.entries(CASES)) {
      let calls = 0;
      const client = createClient((...values) => {
        calls += 1;
        return response(...values);
      });
      const application = applicationWith(client, { disableInternalRetries: code === failed });
      const error = await t.throwsAsync(
        () => acquire(endpoint, `${RESOURCE}/${encodeURIComponent(name)}`, application),
        { instanceOf: ManagedIdentityError, code, message },
        name,
      );
      t.is(calls, 1, name);
      t.is(error.attempts, 1, name);
    }
    t.is(endpoint.requests.length, 0);
  },
);

test.serial("Retry-After is read from a plain object in any case, and from Headers", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const headers of [{ "RETRY-AFTER": "3600" }, new Headers({ "retry-after": "3600" })]) {
    const client = createClient(async () => ({ status: 503, headers, body: "" }));
    const application = applicationWith(client, { disableInternalRetries: false });
    const error = await t.throwsAsync(() => acquire(endpoint, `${RESOURCE}/after`, application));
    t.is(error.attempts, 1, "a delay of an hour exceeds the timeout, so there was no retry");
    t.true(error.retryable);
  }
});

test.serial("secrets in an error of the client are redacted", async (t) => {
  const endpoint = await startEndpoint(t);
  const client = createClient(async (url, options) => {
    throw new Error(`failed with ${JSON.stringify(options)} at ${url}`);
  });
  const error = await t.throwsAsync(() => acquire(endpoint, `${RESOURCE}/secret`, applicationWith(client)));
  const { inspect } = require("node:util");
  t.false(inspect(error, { depth: 10, showHidden: true }).includes(endpoint.env.IDENTITY_HEADER));
  t.regex(error.message, /<redacted>/);
});

test.serial("Service Fabric rejects a custom client in every call", async (t) => {
  const endpoint = await startEndpoint(t, "service-fabric");
  const application = applicationWith(fetchClient());
  for (let use = 0; use < 2; use += 1) {
    await t.throwsAsync(() => acquire(endpoint, RESOURCE, application), {
      code: "invalid_configuration",
      message: /networkClient/,
    });
  }
  t.is(endpoint.requests.length, 0);
});

test.serial("applications share a request only if they share the client", async (t) => {
  const endpoint = await startEndpoint(t);
  const pending = [];
  const pendingClient = () => createClient(() => new Promise((resolve) => pending.push(resolve)));
  const [one, other] = [pendingClient(), pendingClient()];
  const resource = `${RESOURCE}/shared`;
  const tokens = withEnvironment(endpoint.env, () =>
    [one, one, other].map((client) => applicationWith(client).acquireToken(resource)),
  );
  // Each response has another token, so the tokens show which calls shared a request.
  for (let answered = 0; answered < 2; answered += 1) {
    while (pending.length <= answered) await new Promise(setImmediate);
    pending[answered]({ status: 200, headers: {}, body: { access_token: `t${answered}`, expires_in: 60 } });
  }
  const [first, second, third] = (await Promise.all(tokens)).map(({ accessToken }) => accessToken);
  t.is(first, second);
  t.not(first, third);
  t.is(pending.length, 2);
});

test.serial("a client in a terminated worker does not block other threads", async (t) => {
  const endpoint = await startEndpoint(t);
  const worker = startWorker(
    t,
    ({ native, report }) => {
      const never = () => {
        report("called");
        return new Promise(() => {});
      };
      const networkClient = { sendGetRequestAsync: never, sendPostRequestAsync: never };
      const application = new native.ManagedIdentityApplication({ system: { networkClient } });
      application.acquireToken("https://vault.azure.net/worker").catch(() => {});
    },
    { env: endpoint.env },
  );
  await worker.next();
  await worker.worker.terminate();
  const result = await acquire(endpoint, `${RESOURCE}/worker`);
  t.false(result.fromCache);
  t.is(endpoint.requests.length, 1);
});

test.serial("the retry option of one application does not affect another", async (t) => {
  const endpoint = await startEndpoint(t);
  const first = createClient(async () => ({ status: 503, headers: {}, body: "" }));
  await t.throwsAsync(() => acquire(endpoint, `${RESOURCE}/first`, applicationWith(first)));
  t.is(endpoint.requests.length, 0);

  const other = await startEndpoint(t, "imds");
  other.next({ status: 500 });
  const later = new ManagedIdentityApplication();
  t.is(
    withEnvironment(other.env, () => later.getManagedIdentitySource()),
    "DefaultToImds",
  );
  t.false((await acquire(other, `${RESOURCE}/first`, later)).fromCache);
  t.is(other.requests.length, 2, "its own transport, its own source, its own retries");
});
