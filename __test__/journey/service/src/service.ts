// A user's service: uploads a blob as the machine's identity and downloads it. It prints what the test compares.

import { subscribe } from "node:diagnostics_channel";
import { BlobServiceClient } from "@azure/storage-blob";
import { type DiagnosticsChannels, ManagedIdentityApplication } from "managed-identity-native";

const [url, content] = process.argv.slice(2);
if (url === undefined || content === undefined) throw new Error("Usage: service.js URL CONTENT");

const requests: { endpoint: string; statusCode: number | undefined }[] = [];
subscribe("managed-identity-native:request", (message) => {
  const { endpoint, statusCode } = message as DiagnosticsChannels["managed-identity-native:request"];
  requests.push({ endpoint, statusCode });
});

const identity = new ManagedIdentityApplication();
const container = new BlobServiceClient(url, identity).getContainerClient("greetings");
await container.createIfNotExists();
const blob = container.getBlockBlobClient("first.txt");
await blob.upload(content, Buffer.byteLength(content));
const downloaded = (await blob.downloadToBuffer()).toString();

// The client has acquired this token, so another request is not sent.
const token = await identity.getToken("https://storage.azure.com/.default", { enableCae: true });
const claims: { tid?: string } = JSON.parse(
  Buffer.from(token.token.split(".")[1] ?? "", "base64url").toString(),
);
console.log(JSON.stringify({ downloaded, requests, tenantId: claims.tid }));
