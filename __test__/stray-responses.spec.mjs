// A response belongs to one request: whatever else an endpoint sends over a connection never becomes a token of another resource.

import { createRequire } from "node:module";
import { setTimeout } from "node:timers/promises";
import test from "ava";
import { withEnvironment } from "./support/environment.mjs";
import { startRawEndpoint, tokenResponse, writeAfter } from "./support/raw-endpoint.mjs";

const { ManagedIdentityApplication } = createRequire(import.meta.url)("managed-identity-native");

const RESPONSE_TIME = 3;

function resources(count) {
  return Array.from({ length: count }, (_, index) => `https://host-${index}.example`);
}

/** Acquires a token for each resource at once, and again from the cache: both must be of the resource. */
async function acquireAll(t, endpoint, wanted, application = new ManagedIdentityApplication()) {
  for (const round of ["new", "cached"]) {
    const results = await withEnvironment(endpoint.env, () =>
      Promise.all(wanted.map((resource) => application.acquireToken(resource))),
    );
    const wrong = results.filter(({ accessToken }, index) => accessToken !== `token for ${wanted[index]}`);
    t.is(wrong.length, 0, `${round}: ${wrong.length} of ${wanted.length} are of another resource`);
    if (round === "cached") t.true(results.every(({ fromCache }) => fromCache));
  }
}

for (const names of [true, false]) {
  const label = names ? "naming their resource" : "without a resource";
  for (const strayAfter of [0, 1, 2, 5, 12]) {
    for (const isOnce of [true, false]) {
      const amount = isOnce ? "one stray" : "one stray per connection";
      test(`300 resources at once, responses ${label}, ${amount} after ${strayAfter} ms: no wrong token`, async (t) => {
        let strays = 0;
        const endpoint = await startRawEndpoint(t, async ({ socket, resource, nthOfConnection }) => {
          const response = tokenResponse(resource, { names });
          await writeAfter(socket, RESPONSE_TIME, response);
          if (nthOfConnection > 0 || (isOnce && strays > 0)) return;
          strays += 1;
          await writeAfter(socket, strayAfter, response);
        });
        await acquireAll(t, endpoint, resources(300));
        t.true(strays > 0);
      });
    }
  }

  test(`calls one after another, responses ${label}, one stray per connection: no wrong token`, async (t) => {
    const endpoint = await startRawEndpoint(t, async ({ socket, resource, nthOfConnection }) => {
      const response = tokenResponse(resource, { names });
      await writeAfter(socket, 0, response);
      if (nthOfConnection === 0) await writeAfter(socket, 2, response);
    });
    const application = new ManagedIdentityApplication();
    for (const resource of resources(100)) await acquireAll(t, endpoint, [resource], application);
  });
}

for (const strayAfter of [0, 2, 12]) {
  test(`a server that waits for acknowledgements, one stray after ${strayAfter} ms: no wrong token`, async (t) => {
    const endpoint = await startRawEndpoint(t, async ({ socket, resource, nthOfConnection }) => {
      // Nagle's algorithm: what follows a response leaves once that is acknowledged.
      socket.setNoDelay(false);
      const response = tokenResponse(resource, { names: false });
      await writeAfter(socket, 0, response);
      // Linux delays acknowledgements from the second exchange of a connection on.
      if (nthOfConnection === 2) await writeAfter(socket, strayAfter, response);
    });
    const application = new ManagedIdentityApplication();
    for (const resource of resources(60)) {
      await acquireAll(t, endpoint, [resource], application);
      // A connection is used again after 25 ms, and an acknowledgement is delayed by 40 ms.
      await setTimeout(30);
    }
    t.true(endpoint.counts.connections < 60);
  });
}

test("a stray response before the first request of a connection is not taken for its response", async (t) => {
  const stray = tokenResponse("https://somewhere-else.example");
  const endpoint = await startRawEndpoint(
    t,
    ({ socket, resource }) => writeAfter(socket, RESPONSE_TIME, tokenResponse(resource)),
    (socket, nth) => nth === 0 && socket.write(stray),
  );
  await acquireAll(t, endpoint, ["https://vault.azure.net"]);
});

test("a stray response between a 100 and the response is not taken for the response", async (t) => {
  let isFirst = true;
  const endpoint = await startRawEndpoint(t, async ({ socket, resource }) => {
    await writeAfter(socket, RESPONSE_TIME, "HTTP/1.1 100 Continue\r\n\r\n");
    if (isFirst) await writeAfter(socket, 1, tokenResponse("https://somewhere-else.example"));
    isFirst = false;
    await writeAfter(socket, 1, tokenResponse(resource));
  });
  await acquireAll(t, endpoint, ["https://vault.azure.net"]);
  t.is(endpoint.counts.connections, 2);
});

test("bytes that are not HTTP on a connection at rest end the connection only", async (t) => {
  const endpoint = await startRawEndpoint(t, async ({ socket, resource, nthOfConnection }) => {
    await writeAfter(socket, 0, tokenResponse(resource, { names: false }));
    if (nthOfConnection === 0) await writeAfter(socket, 1, "\0\0garbage");
  });
  await acquireAll(t, endpoint, resources(50));
});

test("an endpoint's own spelling of a resource costs one request more, once", async (t) => {
  const asked = "https://management.core.windows.net/";
  const endpoint = await startRawEndpoint(t, ({ socket, nth }) => {
    const body = JSON.stringify({
      access_token: `token ${nth}`,
      expires_in: 86_400,
      resource: "https://management.azure.com/",
    });
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  });
  const application = new ManagedIdentityApplication({ system: { disableInternalRetries: true } });
  const first = await withEnvironment(endpoint.env, () => application.acquireToken(asked));
  t.is(first.accessToken, "token 1");
  t.is(first.metadata.attempts, 2);
  t.is(endpoint.counts.connections, 2, "the second request goes over a new connection");
  const second = await withEnvironment(endpoint.env, () =>
    application.acquireToken({ resource: asked, forceRefresh: true }),
  );
  t.is(second.accessToken, "token 2");
  t.is(second.metadata.attempts, 1);
});

test("responses for a different resource each time are refused", async (t) => {
  const endpoint = await startRawEndpoint(t, ({ socket, nth }) =>
    socket.write(tokenResponse(`https://other-${nth}.example`)),
  );
  const application = new ManagedIdentityApplication();
  const error = await t.throwsAsync(
    withEnvironment(endpoint.env, () => application.acquireToken("https://vault.azure.net")),
  );
  t.is(error.errorCode, "managed_identity_failed_response");
  t.is(error.attempts, 2);
  t.false(error.message.includes("token for"), error.message);
});

test("responses of a caller's own client are not compared", async (t) => {
  let requests = 0;
  const networkClient = {
    async sendGetRequestAsync() {
      requests += 1;
      return {
        status: 200,
        headers: {},
        body: { access_token: "a", expires_in: 3_600, resource: "https://b.example" },
      };
    },
    async sendPostRequestAsync() {
      throw new Error("not used");
    },
  };
  const application = new ManagedIdentityApplication({ system: { networkClient } });
  const env = { IDENTITY_ENDPOINT: "http://127.0.0.1:1/own-client", IDENTITY_HEADER: "not-a-secret" };
  const { accessToken } = await withEnvironment(env, () => application.acquireToken("https://a.example"));
  t.is(accessToken, "a");
  t.is(requests, 1);
});

test("100 calls one after another share few connections", async (t) => {
  const endpoint = await startRawEndpoint(t, ({ socket, resource }) =>
    writeAfter(socket, 1, tokenResponse(resource)),
  );
  const application = new ManagedIdentityApplication();
  for (const resource of resources(100)) {
    await withEnvironment(endpoint.env, () => application.acquireToken(resource));
  }
  t.is(endpoint.counts.requests, 100);
  t.true(endpoint.counts.connections <= 32, `${endpoint.counts.connections} connections`);
});
