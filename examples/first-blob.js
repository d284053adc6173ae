// Uploads a first blob with a managed identity, on any machine: the emulator of this package issues the tokens, and
// Azurite, Microsoft's emulator of Azure Storage, stores the blobs. On Azure, `firstBlob` is all that is needed.

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const { mkdtempSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { BlobServiceClient } = require("@azure/storage-blob");
const { ManagedIdentityApplication } = require("managed-identity-native");
const { createCertificate, startEmulator } = require("managed-identity-native/emulator");

async function firstBlob(url, options) {
  const service = new BlobServiceClient(url, new ManagedIdentityApplication(), options);
  const container = service.getContainerClient("greetings");
  await container.createIfNotExists();
  const blob = container.getBlockBlobClient("first.txt");
  await blob.upload("Hello", 5);
  console.log(`${blob.name}: ${await blob.downloadToBuffer()}`);
}

async function main() {
  const emulator = await startEmulator({ source: "app-service" });
  Object.assign(process.env, emulator.env);
  const directory = mkdtempSync(join(tmpdir(), "first-blob-"));
  const { pem, keyPem } = await createCertificate(); // Azurite accepts tokens over https only.
  writeFileSync(join(directory, "cert.pem"), pem);
  writeFileSync(join(directory, "key.pem"), keyPem, { mode: 0o600 });
  const options = "--blobPort 0 --inMemoryPersistence --disableTelemetry --skipApiVersionCheck --silent";
  const https = "--oauth basic --cert cert.pem --key key.pem";
  const program = [require.resolve("azurite/dist/src/blob/main.js"), ...`${options} ${https}`.split(" ")];
  const azurite = spawn(process.execPath, program, { cwd: directory, stdio: ["ignore", "pipe", "inherit"] });
  try {
    await firstBlob(`${await originOf(azurite)}/devstoreaccount1`, { tlsOptions: { ca: pem } });
    console.log(`Token requests: ${emulator.requests.length}`);
  } finally {
    azurite.kill();
    await once(azurite, "close");
    await emulator.close();
    rmSync(directory, { recursive: true });
  }
}

/** Azurite's address, from its output. */
function originOf(azurite) {
  return new Promise((resolve, reject) => {
    azurite.once("exit", () => reject(new Error("Azurite ended before it listened.")));
    azurite.stdout.on("data", (printed) => {
      const listens = /listens on (\S+)/.exec(printed);
      if (listens) resolve(listens[1]);
    });
  });
}

main();
