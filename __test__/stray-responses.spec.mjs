// A response belongs to one request: other data that an endpoint sends on a connection never becomes a token of another
// resource. The tests are serial because the delays of stray responses must not depend on the load of the other tests.

import { createRequire } from "node:module";
import { setTimeout } from "node:timers/promises";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { startRawEndpoint, tokenResponse, writeAfter } from "./support/raw-endpoint.mjs";

const { ManagedIdentityApplication } = createRequire(import.meta.url)("managed-identity-native");

const RESPONSE_TIME = 3;
/** Less than the silence after which a connection is reused, 25 ms: a later stray response can be that of a request. */
const LATEST_STRAY_MS = 20;

function resources(count) {
  return Array.from({ length: count }, (_, index) => `https://host-${index}.example`);
}

/** Writes this long after the response, unless this busy process is too late. Returns whether it wrote. */
async function writeStray(socket, respondedAt, milliseconds, bytes) {
  if (milliseconds > 0) await setTimeout(milliseconds);
  const isInTime = performance.now() - respondedAt <= LATEST_STRAY_MS;
  if (isInTime) await writeAfter(socket, 0, bytes);
  return isInTime;
}

/**
 * Acquires a token for each resource concurrently, and again from the cache; asserts that each belongs to its resource.
 */
async function acquireAll(t, endpoint, resourceList, application = new ManagedIdentityApplication()) {
  for (const round of ["new", "cached"]) {
    const results = await withEnvironment(endpoint.env, () =>
      Promise.all(resourceList.map((resource) => application.acquireToken(resource))),
    );
    const wrong = results.filter(
      ({ accessToken }, index) => accessToken !== `token for ${resourceList[index]}`,
    );
    t.is(wrong.length, 0, `${round}: ${wrong.length} of ${resourceList.length} are of another resource`);
    if (round === "cached") t.true(results.every(({ fromCache }) => fromCache));
  }
}

for (const namesResource of [true, false]) {
  const label = namesResource ? "naming their resource" : "without a resource";
  for (const strayAfter of [0, 1, 2, 5, 12]) {
    for (const isOnce of [true, false]) {
      const amount = isOnce ? "one stray response" : "one stray response per connection";
      test.serial(
        `300 concurrent resources, responses ${label}, ${amount} after ${strayAfter} ms: no wrong token`,
        async (t) => {
          let strays = 0;
          const endpoint = await startRawEndpoint(t, async ({ socket, resource, nthOfConnection }) => {
            const response = tokenResponse(resource, { namesResource });
            const respondedAt = await writeAfter(socket, RESPONSE_TIME, response);
            if (nthOfConnection > 0 || (isOnce && strays > 0)) return;
            strays += 1;
            if (!(await writeStray(socket, respondedAt, strayAfter, response))) strays -= 1;
          });
          await acquireAll(t, endpoint, resources(300));
          t.true(strays > 0);
        },
      );
    }
  }

  test.serial(
    `sequential calls, responses ${label}, one stray response per connection: no wrong token`,
    async (t) => {
      const endpoint = await startRawEndpoint(t, async ({ socket, resource, nthOfConnection }) => {
        const response = tokenResponse(resource, { namesResource });
        const respondedAt = await writeAfter(socket, 0, response);
        if (nthOfConnection === 0) await writeStray(socket, respondedAt, 2, response);
      });
      const application = new ManagedIdentityApplication();
      for (const resource of resources(100)) await acquireAll(t, endpoint, [resource], application);
    },
  );
}

for (const strayAfter of [0, 2, 12]) {
  test.serial(
    `a server that waits for acknowledgements, one stray response after ${strayAfter} ms: no wrong token`,
    async (t) => {
      const endpoint = await startRawEndpoint(t, async ({ socket, resource, nthOfConnection }) => {
        // With Nagle's algorithm, data after a response is sent once the response is acknowledged.
        socket.setNoDelay(false);
        const response = tokenResponse(resource, { namesResource: false });
        const respondedAt = await writeAfter(socket, 0, response);
        // Linux delays acknowledgements from the second exchange of a connection on.
        if (nthOfConnection === 2) await writeStray(socket, respondedAt, strayAfter, response);
      });
      const application = new ManagedIdentityApplication();
      for (const resource of resources(60)) {
        await acquireAll(t, endpoint, [resource], application);
        // A connection is reused after 25 ms, and an acknowledgement is delayed by 40 ms.
        await setTimeout(30);
      }
      t.true(endpoint.counts.connections < 60);
    },
  );
}

test.serial("a stray response before the first request of a connection is not used", async (t) => {
  const stray = tokenResponse("https://another.example");
  const endpoint = await startRawEndpoint(
    t,
    ({ socket, resource }) => writeAfter(socket, RESPONSE_TIME, tokenResponse(resource)),
    (socket, nth) => nth === 0 && socket.write(stray),
  );
  await acquireAll(t, endpoint, ["https://vault.azure.net"]);
});

test.serial("a stray response between a 100 and the response is not used", async (t) => {
  let isFirst = true;
  const endpoint = await startRawEndpoint(t, async ({ socket, resource }) => {
    await writeAfter(socket, RESPONSE_TIME, "HTTP/1.1 100 Continue\r\n\r\n");
    if (isFirst) await writeAfter(socket, 1, tokenResponse("https://another.example"));
    isFirst = false;
    await writeAfter(socket, 1, tokenResponse(resource));
  });
  await acquireAll(t, endpoint, ["https://vault.azure.net"]);
  t.is(endpoint.counts.connections, 2);
});

test.serial("data that is not HTTP on an idle connection closes only that connection", async (t) => {
  const endpoint = await startRawEndpoint(t, async ({ socket, resource, nthOfConnection }) => {
    const response = tokenResponse(resource, { namesResource: false });
    const respondedAt = await writeAfter(socket, 0, response);
    if (nthOfConnection === 0) await writeStray(socket, respondedAt, 1, "\0\0garbage");
  });
  await acquireAll(t, endpoint, resources(50));
});

test.serial(
  "an endpoint that returns another name for a resource costs one additional request, once",
  async (t) => {
    const resource = "https://management.core.windows.net/";
    const endpoint = await startRawEndpoint(t, ({ socket, nth }) => {
      const body = JSON.stringify({
        access_token: `token ${nth}`,
        expires_in: 86_400,
        resource: "https://management.azure.com/",
      });
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    });
    const application = new ManagedIdentityApplication({ system: { disableInternalRetries: true } });
    const first = await withEnvironment(endpoint.env, () => application.acquireToken(resource));
    t.is(first.accessToken, "token 1");
    t.is(first.metadata.attempts, 2);
    t.is(endpoint.counts.connections, 2, "the second request uses a new connection");
    const second = await withEnvironment(endpoint.env, () =>
      application.acquireToken({ resource, forceRefresh: true }),
    );
    t.is(second.accessToken, "token 2");
    t.is(second.metadata.attempts, 1);
  },
);

test.serial("responses that name another resource each time are rejected", async (t) => {
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

test.serial("responses of a custom client are not compared with the request", async (t) => {
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

testWith(test.serial, "acknowledgements at once")("100 sequential calls share few connections", async (t) => {
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
