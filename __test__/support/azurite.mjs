// Azurite, Microsoft's emulator of Azure Storage, as a judge of our tokens: over https, since it takes bearer tokens
// no other way, with a certificate of the test's.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { environmentWith } from "./environment.mjs";

const require = createRequire(import.meta.url);
const { createCertificate } = require("../../emulator/x509/certificate.js");

const ACCOUNT = "devstoreaccount1";
const OPTIONS = [
  ...["--blobPort", "0"],
  // It looks at issuer, audience and lifetime, not at the signature.
  ...["--oauth", "basic"],
  "--inMemoryPersistence",
  // Nothing that a test starts may speak to the internet.
  "--disableTelemetry",
  // The client may be newer than Azurite, and speak a newer version of the protocol.
  "--skipApiVersionCheck",
  "--silent",
];

/** Starts Azurite; `url` is that of its account, `ca` what a client must trust, `caFile` where that lies. */
export async function startAzurite() {
  const folder = await mkdtemp(join(tmpdir(), "azurite-"));
  const [certFile, keyFile] = ["certificate.pem", "key.pem"].map((name) => join(folder, name));
  const certificate = await createCertificate();
  await writeFile(certFile, certificate.pem);
  await writeFile(keyFile, certificate.keyPem, { mode: 0o600 });
  const main = require.resolve("azurite/dist/src/blob/main.js");
  const child = spawn(process.execPath, [main, ...OPTIONS, "--cert", certFile, "--key", keyFile], {
    cwd: folder,
    env: environmentWith({ AZURITE_ACCOUNTS: undefined, AZURITE_DB: undefined }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close");
  const close = async () => {
    child.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true });
  };
  const origin = await originOf(child).catch(async (error) => {
    await close();
    throw error;
  });
  return { url: `${origin}/${ACCOUNT}`, ca: certificate.pem, caFile: certFile, close };
}

/** Where it listens, by what it prints. */
async function originOf({ stdout, stderr }) {
  const complaint = text(stderr);
  let printed = "";
  stdout.setEncoding("utf8");
  const origin = await new Promise((resolve) => {
    stdout.on("data", (chunk) => {
      printed += chunk;
      const found = /successfully listens on (https:\S+)/.exec(printed);
      if (found) resolve(found[1]);
    });
    stdout.once("end", resolve);
  });
  if (origin === undefined) throw new Error(`Azurite ended before it listened: ${printed}${await complaint}`);
  return origin;
}
