// One thread of the pool. Creating an application per thread costs almost nothing.

import { createHash } from "node:crypto";
import { parentPort, threadId } from "node:worker_threads";
import { ManagedIdentityApplication } from "managed-identity-native";

const { accessToken, fromCache, metadata } = await new ManagedIdentityApplication().acquireToken(
  "https://storage.azure.com",
);
const digest = createHash("sha256").update(accessToken).digest("hex");
parentPort.postMessage({ thread: threadId, fromCache, attempts: metadata.attempts, digest });
