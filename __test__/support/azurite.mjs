// Azurite, Microsoft's emulator of Azure Storage, as an independent verifier of tokens. It accepts bearer tokens over
// https only, so it runs with a certificate of the test.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { environmentWith } from "./environment.mjs";

const require = createRequire(import.meta.url);
const { createCertificate } = require("managed-identity-native/emulator");

const ACCOUNT = "devstoreaccount1";
const OPTIONS = [
  ...["--blobPort", "0"],
  // Azurite verifies issuer, audience and lifetime, but not the signature.
  ...["--oauth", "basic"],
  "--inMemoryPersistence",
  // Tests must not send traffic to the internet.
  "--disableTelemetry",
  // The client may use a newer protocol version than Azurite supports.
  "--skipApiVersionCheck",
  "--silent",
];

/** Starts Azurite. `url` is the URL of its account, `ca` its certificate, `caFile` the path of that certificate. */
export async function startAzurite() {
  const directory = await mkdtemp(join(tmpdir(), "azurite-"));
  const [certFile, keyFile] = ["certificate.pem", "key.pem"].map((name) => join(directory, name));
  const certificate = await createCertificate();
  await writeFile(certFile, certificate.pem);
  await writeFile(keyFile, certificate.keyPem, { mode: 0o600 });
  const main = require.resolve("azurite/dist/src/blob/main.js");
  const child = spawn(process.execPath, [main, ...OPTIONS, "--cert", certFile, "--key", keyFile], {
    cwd: directory,
    env: environmentWith({ AZURITE_ACCOUNTS: undefined, AZURITE_DB: undefined }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close");
  const close = async () => {
    child.kill("SIGKILL");
    await ended;
    await rm(directory, { recursive: true });
  };
  const origin = await originOf(child).catch(async (error) => {
    await close();
    throw error;
  });
  return { url: `${origin}/${ACCOUNT}`, ca: certificate.pem, caFile: certFile, close };
}

/** The URL, taken from Azurite's output. */
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
