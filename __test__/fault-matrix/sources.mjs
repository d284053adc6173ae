// The sources of the fault matrix: the variables that select each, and how its connection is made.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ownAddress } from "../support/own-address.mjs";

const { createCertificate } = createRequire(import.meta.url)("managed-identity-native/emulator");

const RETRIED_STATUSES = [404, 408, 429, 500, 502, 503, 504];
const IMDS_RETRIED_STATUSES = [404, 408, 410, 429, 500, 502, 503, 504];
export const SECRET = "hush-hush-header-value";

/** The certificates of the TLS sources, and the files that the sources read. */
export async function certificates(t) {
  const directory = mkdtempSync(join(tmpdir(), "faults-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const refusedAddress = ownAddress();
  const [validCertificate, otherCertificate] = await Promise.all([
    createCertificate({ names: ["localhost", "127.0.0.1", refusedAddress] }),
    createCertificate({ key: "RSA-2048", subject: "another server" }),
  ]);
  const files = { trusted: join(directory, "ca.pem"), assertion: join(directory, "assertion") };
  writeFileSync(files.trusted, validCertificate.pem);
  writeFileSync(files.assertion, "an.assertion.of-kubernetes");
  return { validCertificate, otherCertificate, files, refusedAddress };
}

/**
 * `env` returns the variables for an origin, `retriedStatuses` the statuses that are retried, and `tls` the error code
 * for an untrusted certificate.
 */
export const SOURCES = [
  {
    name: "App Service",
    retriedStatuses: RETRIED_STATUSES,
    env: ({ origin }) => ({ IDENTITY_ENDPOINT: `${origin}/msi/token`, IDENTITY_HEADER: SECRET }),
  },
  {
    name: "IMDS",
    retriedStatuses: IMDS_RETRIED_STATUSES,
    env: ({ origin }) => ({ AZURE_POD_IDENTITY_AUTHORITY_HOST: origin }),
  },
  {
    name: "Machine Learning",
    retriedStatuses: RETRIED_STATUSES,
    env: ({ origin }) => ({ MSI_ENDPOINT: `${origin}/token`, MSI_SECRET: SECRET }),
  },
  {
    name: "Cloud Shell",
    retriedStatuses: RETRIED_STATUSES,
    env: ({ origin }) => ({ MSI_ENDPOINT: `${origin}/token` }),
  },
  {
    name: "Azure Arc",
    retriedStatuses: RETRIED_STATUSES,
    challenges: true,
    env: ({ origin }) => ({ IDENTITY_ENDPOINT: `${origin}/token`, IMDS_ENDPOINT: origin }),
  },
  {
    name: "Service Fabric",
    retriedStatuses: RETRIED_STATUSES,
    tls: "invalid_server_thumbprint",
    env: ({ origin, validCertificate }) => ({
      IDENTITY_ENDPOINT: `${origin}/token`,
      IDENTITY_HEADER: SECRET,
      IDENTITY_SERVER_THUMBPRINT: validCertificate.thumbprint,
    }),
  },
  {
    name: "workload identity",
    retriedStatuses: RETRIED_STATUSES,
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
