// The main job end to end, on any machine: the emulator of this package stands in for App Service and then IMDS, and a
// program as you could write it acquires tokens from it. The argument `app-service` or `imds` selects one of them.

const { ManagedIdentityApplication, ManagedIdentitySourceNames } = require("managed-identity-native");
const { startEmulator, userAssignedIdentity } = require("managed-identity-native/emulator");

const VAULT = "https://vault.azure.net";
const STORAGE = "https://storage.azure.com";
const UNKNOWN_CLIENT_ID = "00000000-0000-4000-8000-000000000000";
const SOURCES = {
  "app-service": { title: "App Service", source: ManagedIdentitySourceNames.APP_SERVICE },
  imds: { title: "IMDS", source: ManagedIdentitySourceNames.DEFAULT_TO_IMDS },
};
/** A higher number would mean that a call was not cached or a request was not shared. */
const EXPECTED_REQUESTS = 4;

async function main(names) {
  const unknown = names.find((name) => !Object.hasOwn(SOURCES, name));
  if (unknown !== undefined) {
    console.error(`Unknown source "${unknown}"; choose from: ${Object.keys(SOURCES).join(", ")}.`);
    process.exitCode = 2;
    return;
  }
  clearEnvironment();
  let token;
  for (const name of names.length > 0 ? names : Object.keys(SOURCES)) {
    token = (await runAgainst(name, SOURCES[name])) ?? token;
  }
  if (token !== undefined) printClaims(token);
}

/** Starts the emulator for one source, sets its variables, and runs the main job. */
async function runAgainst(name, { title, source }) {
  const endpoint = await startEmulator({ source: name });
  Object.assign(process.env, endpoint.env);
  try {
    const found = new ManagedIdentityApplication().getManagedIdentitySource();
    if (found === source) return await mainJob(title, endpoint);
    console.log(
      `${title} cannot be emulated: this machine itself provides ${found}, which takes precedence.`,
    );
    process.exitCode = 1;
    return undefined;
  } finally {
    for (const variable of Object.keys(endpoint.env)) delete process.env[variable];
    await endpoint.close();
  }
}

/** Typical calls of a service, and some mistakes. Resolves with the first result's token. */
async function mainJob(title, endpoint) {
  const system = new ManagedIdentityApplication();
  const user = new ManagedIdentityApplication({
    managedIdentityIdParams: { userAssignedClientId: userAssignedIdentity.clientId },
  });
  const unknown = new ManagedIdentityApplication({
    managedIdentityIdParams: { userAssignedClientId: UNKNOWN_CLIENT_ID },
  });
  console.log(`\n${bold(title)}  ${dim(endpoint.url)}\n`);
  const runStep = createRunner(endpoint);

  const first = await runStep("system-assigned identity", () => system.acquireToken(VAULT));
  await runStep("the same again", () => system.acquireToken(VAULT));
  await runStep("user-assigned, by client id", () => user.acquireToken(VAULT));
  await runStep("1,000 calls at the same time", () =>
    Promise.all(Array.from({ length: 1_000 }, () => system.acquireToken(STORAGE))),
  );
  await runStep("a resource that is not a URI", () => system.acquireToken("vault.azure.net"));
  await runStep("an unknown identity", () => unknown.acquireToken(VAULT));

  const requests = endpoint.requests.length;
  console.log(`\n  ${plural(1_005, "call")}, for which the endpoint saw ${plural(requests, "request")}.`);
  if (requests !== EXPECTED_REQUESTS || first === undefined) {
    console.log(red(`  A token and ${plural(EXPECTED_REQUESTS, "request")} were expected.`));
    process.exitCode = 1;
  }
  return first?.accessToken;
}

/** Returns a function that runs an action and prints its result and the number of its requests. */
function createRunner(endpoint) {
  return async (description, action) => {
    const before = endpoint.requests.length;
    const [result, error] = await action().then(
      (value) => [value],
      (reason) => [undefined, reason],
    );
    const requests = plural(endpoint.requests.length - before, "request").padEnd(10);
    const outcome = error ? red(error.errorCode ?? error.name) : green(describe(result));
    console.log(`  ${description.padEnd(28)}  ${requests}  ${outcome}`);
    if (error) console.log(dim(wrapText(error.errorMessage ?? error.message, 44)));
    return result;
  };
}

function describe(result) {
  if (Array.isArray(result)) {
    const tokens = new Set(result.map(({ accessToken }) => accessToken));
    return `${plural(result.length, "result")} with ${plural(tokens.size, "token")}`;
  }
  const until = result.expiresOn.toISOString().slice(0, 16).replace("T", " ");
  return `${result.fromCache ? "the cached token" : "a new token"}, valid until ${until} UTC`;
}

/** Prints the claims of a token, without its signature. */
function printClaims(token) {
  const [, payload] = token.split(".");
  const claims = Object.entries(JSON.parse(Buffer.from(payload, "base64url").toString()));
  const width = Math.max(...claims.map(([name]) => name.length));
  console.log(`\n${bold("The claims of a token")}\n`);
  for (const [name, value] of claims) {
    const instant = ["exp", "iat", "nbf"].includes(name) && new Date(value * 1_000).toISOString();
    console.log(`  ${name.padEnd(width)}  ${value}${instant ? dim(`  ${instant}`) : ""}`);
  }
}

/** Removes variables that would select another source than the emulated one. */
function clearEnvironment() {
  for (const variable of [
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
  ]) {
    delete process.env[variable];
  }
}

function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** The text in indented lines that fit the terminal. */
function wrapText(text, indent) {
  const width = Math.max(40, Math.min(process.stdout.columns ?? 110, 110) - indent);
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line && line.length + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = line ? `${line} ${word}` : word;
  }
  return lines.map((line) => " ".repeat(indent) + line).join("\n");
}

const colours = process.stdout.isTTY && !process.env.NO_COLOR;
const styled = (code) => (text) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);
const [bold, dim, red, green] = [1, 2, 31, 32].map(styled);

main(process.argv.slice(2));
