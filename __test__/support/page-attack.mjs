// The requests by which a client gets a token of each source, as data that a web page can send as well.

const RESOURCE = "https://vault.azure.net";
const METADATA = { Metadata: "true" };

/** Returns `{ method, path, headers, body }`. `env` are the variables of an endpoint, and `issueAssertion` its function. */
export function tokenRequest(source, { env, issueAssertion }) {
  const query = (parameters) => new URLSearchParams({ resource: RESOURCE, ...parameters });
  const get = (path, version, headers) => ({
    method: "GET",
    path: `${path}?${query({ "api-version": version })}`,
    headers,
    body: undefined,
  });
  const post = (path, parameters, headers) => ({
    method: "POST",
    path,
    headers: { "Content-Type": "application/x-www-form-urlencoded", ...headers },
    body: String(new URLSearchParams(parameters)),
  });
  const IMDS = "/metadata/identity/oauth2/token";
  switch (source) {
    case "app-service":
      return get("/msi/token", "2019-08-01", { "X-IDENTITY-HEADER": env.IDENTITY_HEADER });
    case "imds":
      return get(IMDS, "2018-02-01", METADATA);
    case "azure-arc":
      return get(IMDS, "2020-06-01", METADATA);
    case "cloud-shell":
      return post("/oauth2/token", { resource: RESOURCE }, METADATA);
    case "machine-learning":
      return get("/MSI/token", "2017-09-01", { secret: env.MSI_SECRET });
    case "service-fabric":
      return get(IMDS, "2019-07-01-preview", { Secret: env.IDENTITY_HEADER });
    case "workload-identity":
      return post(`/${env.AZURE_TENANT_ID}/oauth2/v2.0/token`, {
        grant_type: "client_credentials",
        client_id: env.AZURE_CLIENT_ID,
        scope: `${RESOURCE}/.default`,
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion: issueAssertion(),
      });
    default:
      throw new RangeError(`Unknown source ${source}`);
  }
}
