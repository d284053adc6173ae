"use strict";

// A network client that answers for IMDS at its own address, which no test may contact. For programs in child
// processes, because a process remembers whether IMDS has responded.

const IMDS = "http://169.254.169.254/metadata/identity/oauth2/token";
const TOKEN = { status: 200, headers: {}, body: { access_token: "a-token", expires_in: "86400" } };

/** The parts of a request that tests compare. */
function summarize(url, headers) {
  const { origin, pathname, searchParams } = new URL(url);
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  return {
    url: origin + pathname,
    resource: searchParams.get("resource"),
    query: [...searchParams.keys()],
    hasMetadata: names.includes("metadata"),
  };
}

/** A client that answers each request without a query by `probe` and every other request with a token. */
function imdsClient(probe) {
  const requests = [];
  const sendGetRequestAsync = async (url, { headers }) => {
    const request = summarize(url, headers);
    requests.push(request);
    return request.query.length === 0 ? probe() : TOKEN;
  };
  const sendPostRequestAsync = () => Promise.reject(new Error("IMDS takes no POST"));
  return { requests, sendGetRequestAsync, sendPostRequestAsync };
}

/** The possible results of a probe. */
const probes = {
  responded: async () => ({ status: 400, headers: {}, body: "" }),
  broken: async () => ({ status: 500, headers: {}, body: "" }),
  missing: async () => ({ status: 404, headers: {}, body: "" }),
  refused: async () => {
    throw Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
  },
  silent: () => new Promise(() => {}),
  container: async () => ({
    status: 403,
    headers: {},
    body: "dial tcp 169.254.169.254:80: connectex: A socket",
  }),
};

module.exports = { IMDS, imdsClient, probes };
