// The hosts of the fault matrix: what leads to each, and how its connection is made.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { createCertificate } = createRequire(import.meta.url)("../../emulator/certificate.js");

const BUSY = [404, 408, 429, 500, 502, 503, 504];
const IMDS_BUSY = [404, 408, 410, 429, 500, 502, 503, 504];
export const SECRET = "hush-hush-header-value";

/** Addresses of this machine that are handed out once: a port that was closed on one is nobody else's soon. */
let lastAddress = 1;
function addressOfItsOwn() {
  if (process.platform !== "linux") return "127.0.0.1";
  lastAddress += 1;
  return `127.0.0.${lastAddress}`;
}

/** What the TLS sources share: a certificate that is trusted, another one, and files that name them. */
export async function certificates(t) {
  const folder = mkdtempSync(join(tmpdir(), "faults-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const lonely = addressOfItsOwn();
  const [right, wrong] = await Promise.all([
    createCertificate({ names: ["localhost", "127.0.0.1", lonely] }),
    createCertificate({ key: "RSA-2048", subject: "somebody else" }),
  ]);
  const files = { trusted: join(folder, "ca.pem"), assertion: join(folder, "assertion") };
  writeFileSync(files.trusted, right.pem);
  writeFileSync(files.assertion, "an.assertion.of-kubernetes");
  return { right, wrong, files, lonely };
}

/** `env` makes the variables that lead to an origin; `busy` are the statuses that are tried again. */
export const SOURCES = [
  {
    name: "App Service",
    busy: BUSY,
    env: ({ origin }) => ({ IDENTITY_ENDPOINT: `${origin}/msi/token`, IDENTITY_HEADER: SECRET }),
  },
  {
    name: "IMDS",
    busy: IMDS_BUSY,
    env: ({ origin }) => ({ AZURE_POD_IDENTITY_AUTHORITY_HOST: origin }),
  },
  {
    name: "Machine Learning",
    busy: BUSY,
    env: ({ origin }) => ({ MSI_ENDPOINT: `${origin}/token`, MSI_SECRET: SECRET }),
  },
  { name: "Cloud Shell", busy: BUSY, env: ({ origin }) => ({ MSI_ENDPOINT: `${origin}/token` }) },
  {
    name: "Azure Arc",
    busy: BUSY,
    challenges: true,
    env: ({ origin }) => ({ IDENTITY_ENDPOINT: `${origin}/token`, IMDS_ENDPOINT: origin }),
  },
  {
    name: "Service Fabric",
    busy: BUSY,
    tls: "invalid_server_thumbprint",
    env: ({ origin, right }) => ({
      IDENTITY_ENDPOINT: `${origin}/token`,
      IDENTITY_HEADER: SECRET,
      IDENTITY_SERVER_THUMBPRINT: right.thumbprint,
    }),
  },
  {
    name: "workload identity",
    busy: BUSY,
    tls: "managed_identity_unreachable_network",
    env: ({ origin, files }) => ({
      AZURE_AUTHORITY_HOST: origin,
      AZURE_TENANT_ID: "a-tenant",
      AZURE_CLIENT_ID: "a-client",
      AZURE_FEDERATED_TOKEN_FILE: files.assertion,
      NODE_EXTRA_CA_CERTS: files.trusted,
    }),
  },
];
