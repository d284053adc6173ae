// The host of a bundled function: starts the emulator, calls the handler twice and prints its results. Its
// arguments are the bundle and the emulator's module; the bundle must not find other files than those deployed with it.

const { pathToFileURL } = require("node:url");

const [, , bundle, emulator] = process.argv;

async function main() {
  const { startEmulator } = require(emulator);
  const endpoint = await startEmulator({ source: "app-service" });
  Object.assign(process.env, endpoint.env);
  const { handler } = bundle.endsWith(".mjs") ? await import(pathToFileURL(bundle)) : require(bundle);
  const answers = [await handler("https://vault.azure.net"), await handler("https://vault.azure.net")];
  await endpoint.close();
  const addOns = process.report.getReport().sharedObjects.filter((path) => path.endsWith(".node"));
  console.log(JSON.stringify({ answers, requests: endpoint.requests.length, addOns }));
}

main();
