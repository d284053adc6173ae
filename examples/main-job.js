// The main job, from end to end, on any machine: this package's emulator plays App Service and then IMDS, and a
// program that you could have written asks it for tokens. `app-service` or `imds` as an argument plays only that.

const { ManagedIdentityApplication, ManagedIdentitySourceNames } = require("managed-identity-native");
const { startEmulator, userAssignedIdentity } = require("managed-identity-native/emulator");

const VAULT = "https://vault.azure.net";
const STORAGE = "https://storage.azure.com";
const NOBODY = "00000000-0000-4000-8000-000000000000";
const HOSTS = {
  "app-service": { title: "App Service", source: ManagedIdentitySourceNames.APP_SERVICE },
  imds: { title: "IMDS", source: ManagedIdentitySourceNames.DEFAULT_TO_IMDS },
};
/** More would mean that a call was not cached, or a request not shared. */
const EXPECTED_REQUESTS = 4;

async function main(names) {
  const unknown = names.find((name) => !Object.hasOwn(HOSTS, name));
  if (unknown !== undefined) {
    console.error(`There is no "${unknown}" here; choose from: ${Object.keys(HOSTS).join(", ")}.`);
    process.exitCode = 2;
    return;
  }
  forgetThisMachine();
  let token;
  for (const name of names.length > 0 ? names : Object.keys(HOSTS)) {
    token = (await play(name, HOSTS[name])) ?? token;
  }
  if (token !== undefined) printClaims(token);
}

/** Plays one host: puts its variables into the environment, and does the main job there. */
async function play(name, { title, source }) {
  const endpoint = await startEmulator({ source: name });
  Object.assign(process.env, endpoint.env);
  try {
    const found = new ManagedIdentityApplication().getManagedIdentitySource();
    if (found === source) return await mainJob(title, endpoint);
    console.log(`${title} cannot be played: this machine itself is a host, ${found}, which comes first.`);
    process.exitCode = 1;
    return undefined;
  } finally {
    for (const variable of Object.keys(endpoint.env)) delete process.env[variable];
    await endpoint.close();
  }
}

/** What a service would do, and some things that it would not. Resolves with the first token. */
async function mainJob(title, endpoint) {
  const system = new ManagedIdentityApplication();
  const user = new ManagedIdentityApplication({
    managedIdentityIdParams: { userAssignedClientId: userAssignedIdentity.clientId },
  });
  const nobody = new ManagedIdentityApplication({
    managedIdentityIdParams: { userAssignedClientId: NOBODY },
  });
  console.log(`\n${bold(title)}  ${dim(endpoint.url)}\n`);
  const tell = teller(endpoint);

  const first = await tell("system-assigned identity", () => system.acquireToken(VAULT));
  await tell("the same once more", () => system.acquireToken(VAULT));
  await tell("user-assigned, by client id", () => user.acquireToken(VAULT));
  await tell("1,000 calls at the same time", () =>
    Promise.all(Array.from({ length: 1_000 }, () => system.acquireToken(STORAGE))),
  );
  await tell("a resource that is no URI", () => system.acquireToken("vault.azure.net"));
  await tell("an identity that is unknown", () => nobody.acquireToken(VAULT));

  const requests = endpoint.requests.length;
  console.log(`\n  ${plural(1_005, "call")}, for which the endpoint saw ${plural(requests, "request")}.`);
  if (requests !== EXPECTED_REQUESTS || first === undefined) {
    console.log(red(`  A token and ${plural(EXPECTED_REQUESTS, "request")} were expected.`));
    process.exitCode = 1;
  }
  return first?.accessToken;
}

/** A function that does something and prints what came of it, with the number of requests that it took. */
function teller(endpoint) {
  return async (what, act) => {
    const before = endpoint.requests.length;
    const [result, error] = await act().then(
      (value) => [value],
      (reason) => [undefined, reason],
    );
    const requests = plural(endpoint.requests.length - before, "request").padEnd(10);
    const outcome = error ? red(error.errorCode ?? error.name) : green(told(result));
    console.log(`  ${what.padEnd(28)}  ${requests}  ${outcome}`);
    if (error) console.log(dim(wrapped(error.errorMessage ?? error.message, 44)));
    return result;
  };
}

function told(result) {
  if (Array.isArray(result)) {
    const tokens = new Set(result.map(({ accessToken }) => accessToken));
    return `${plural(result.length, "result")} with ${plural(tokens.size, "token")}`;
  }
  const until = result.expiresOn.toISOString().slice(0, 16).replace("T", " ");
  return `${result.fromCache ? "the cached token" : "a new token"}, valid until ${until} UTC`;
}

/** What a token says, without the signature that makes it worth stealing. */
function printClaims(token) {
  const [, payload] = token.split(".");
  const claims = Object.entries(JSON.parse(Buffer.from(payload, "base64url").toString()));
  const width = Math.max(...claims.map(([name]) => name.length));
  console.log(`\n${bold("The claims of such a token")}\n`);
  for (const [name, value] of claims) {
    const instant = ["exp", "iat", "nbf"].includes(name) && new Date(value * 1_000).toISOString();
    console.log(`  ${name.padEnd(width)}  ${value}${instant ? dim(`  ${instant}`) : ""}`);
  }
}

/** Takes away the variables that would make this machine another host than the one that is played. */
function forgetThisMachine() {
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
function wrapped(text, indent) {
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
const painted = (code) => (text) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);
const [bold, dim, red, green] = [1, 2, 31, 32].map(painted);

main(process.argv.slice(2));
