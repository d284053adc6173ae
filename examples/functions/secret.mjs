// An Azure Functions app (programming model v4) with one function. The Functions host names App Service's endpoint in
// IDENTITY_ENDPOINT; between invocations, the token stays in the memory of the worker process.

import { app } from "@azure/functions";
import { ManagedIdentityApplication, ManagedIdentityError } from "managed-identity-native";

const identity = new ManagedIdentityApplication();

export async function secret(request, context) {
  try {
    const { accessToken, metadata } = await identity.acquireToken("https://vault.azure.net");
    context.log(`token from ${metadata.tokenSource} after ${Math.round(metadata.durationTotalInMs)} ms`);
    const url = `${process.env.VAULT_URL}/secrets/${request.params.name}?api-version=7.5`;
    const response = await fetch(url, { headers: { Authorization: `Bearer ${accessToken}` } });
    return { status: response.status, jsonBody: { found: response.ok } };
  } catch (error) {
    if (!(error instanceof ManagedIdentityError)) throw error;
    context.error(error.message);
    return { status: 503, jsonBody: { error: error.code } };
  }
}

app.http("secret", { methods: ["GET"], route: "secrets/{name}", handler: secret });
