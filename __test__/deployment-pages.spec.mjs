// The pages about deployment, as far as they can be run here: their snippets parse, their commands run with the emulator,
// and what several places repeat agrees. Nothing here contacts Azure.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { loadAll } from "js-yaml";
import { testWith } from "./support/capabilities.mjs";
import { run, startCommand } from "./support/command-line.mjs";
import { acquire, startEndpoint } from "./support/endpoint.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const SNIPPET = /^```(\w+)\n(.*?)^```$/gms;
const [major, minor] = process.versions.node.split(".").map(Number);

const pages = new Map(
  ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)].map((path) => [
    path,
    readFileSync(join(root, path), "utf8"),
  ]),
);

/** The snippets of these languages, as `{ page, language, code }`. */
function snippets(...languages) {
  return [...pages].flatMap(([page, text]) =>
    [...text.matchAll(SNIPPET)]
      .map(([, language, code]) => ({ page, language, code }))
      .filter(({ language }) => languages.includes(language)),
  );
}

/** The table rows of a page, as lists of cells. */
function rows(page) {
  return [...pages.get(page).matchAll(/^\| (.+) \|$/gm)].map(([, cells]) => cells.split(" | "));
}

test("each snippet is in a language that a test reads, or that is not checked on purpose", (t) => {
  const read = ["bicep", "diff", "dockerfile", "hcl", "js", "json", "sh", "ts", "yaml"];
  const unchecked = ["ini", "powershell", "text"];
  const languages = [...pages.values()].flatMap((text) =>
    [...text.matchAll(SNIPPET)].map(([, language]) => language),
  );
  t.deepEqual(
    languages.filter((language) => ![...read, ...unchecked].includes(language)),
    [],
  );
});

test("YAML and JSON snippets parse", (t) => {
  const found = snippets("json", "yaml");
  t.true(found.length >= 6, String(found.length));
  for (const { page, language, code } of found) {
    t.notThrows(() => (language === "json" ? JSON.parse(code) : loadAll(code)), `${page}: ${code}`);
  }
});

testWith(test, "bash")("shell snippets parse", (t) => {
  const found = snippets("sh");
  t.true(found.length >= 30, String(found.length));
  for (const { page, code } of found) {
    // "<folder>" stands for a name. To a shell it would be a redirection.
    const input = code.replaceAll(/<[a-z ]+>/g, "placeholder");
    const { status, stderr } = spawnSync("bash", ["-n"], { input, encoding: "utf8" });
    t.is(status, 0, `${page}: ${stderr}`);
  }
});

test("Bicep and Terraform snippets have balanced brackets and quotation marks", (t) => {
  const found = snippets("bicep", "hcl");
  t.is(found.length, 2);
  for (const { page, language, code } of found) {
    const strings = language === "hcl" ? /"[^"\n]*"/g : /'[^'\n]*'/g;
    const rest = code.replaceAll(/\/\/.*$/gm, "").replaceAll(strings, "");
    t.notRegex(rest, /["']/, page);
    let left = rest.replaceAll(/[^()[\]{}]/g, "");
    for (let before; before !== left; ) {
      before = left;
      left = left.replaceAll(/\(\)|\[\]|\{\}/g, "");
    }
    t.is(left, "", page);
  }
});

test("Dockerfile snippets install in the image, and copy from a stage that exists, with the same C library", (t) => {
  // A snippet without FROM is a part of a Dockerfile.
  const found = snippets("dockerfile").filter(({ code }) => /^FROM /m.test(code));
  t.true(found.length >= 3);
  for (const { page, code } of found) {
    const stages = [...code.matchAll(/^FROM (\S+)(?: AS (\w+))?$/gm)].map(([, image, name]) => ({
      image,
      name,
    }));
    t.true(stages.length > 0, page);
    for (const [, from] of code.matchAll(/--from=(\w+)/g)) t.true(stages.some(({ name }) => name === from));
    const libraries = new Set(stages.map(({ image }) => image.includes("alpine")));
    t.is(libraries.size, 1, page);
    t.regex(code, /^RUN npm ci --omit=dev$/m);
    for (const [line] of code.matchAll(/^(?:CMD|ENTRYPOINT) .*$/gm)) {
      t.notThrows(() => JSON.parse(line.slice(line.indexOf("["))), line);
    }
  }
});

/** Everything that is published or shown to users, and whose texts may name a command. */
const WITH_COMMANDS = [
  ".github",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "cli",
  "docker",
  "emulator",
  "examples",
  "index.d.ts",
  "lib",
  "npm",
  "opentelemetry",
  "scripts",
  "src",
  "testing",
];

function filesIn(path) {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  return readdirSync(join(root, path)).flatMap((name) => filesIn(`${path}/${name}`));
}

/** A command that downloads the package where it is not installed. A text may continue on the next line of a source. */
const DOWNLOADS = /\bnpx(?! --no\b)\s(?:-\S+\s)*managed-identity-native/;
const CONTINUATION = /\\\n\s*|["'`] \+\s*["'`]/g;

test("no page and no message lets npx download the package, whose name may not be reserved yet", (t) => {
  for (const [page, text] of pages) t.notRegex(text, DOWNLOADS, page);
  const files = WITH_COMMANDS.flatMap(filesIn);
  t.true(files.length > 200, String(files.length));
  for (const file of files) {
    const text = readFileSync(join(root, file), "utf8").replaceAll(CONTINUATION, "");
    t.notRegex(text, DOWNLOADS, file);
  }
});

test("no output of the command line lets npx download the package", async (t) => {
  const endpoint = await startEndpoint(t);
  const absent = { AZURE_POD_IDENTITY_AUTHORITY_HOST: "http://127.0.0.1:1" };
  const commands = ["--help", ...["doctor", "token", "emulator"].map((name) => `help ${name}`)];
  const runs = [
    ...commands.map((command) => [command, endpoint.env]),
    ["doctor", absent],
    ["token --resource https://vault.azure.net --timeout 2000", absent],
  ];
  const outputs = await Promise.all(
    runs.map(async ([command, env]) => {
      const { stdout, stderr } = await run(t, command.split(" "), { env });
      t.notRegex(stdout + stderr, DOWNLOADS, command);
      return stdout + stderr;
    }),
  );
  t.true(outputs.some((output) => output.includes("npx --no managed-identity-native emulator")));
});

test("each value in the table of resources is accepted as a resource, and becomes the audience", async (t) => {
  const endpoint = await startEndpoint(t);
  const values = rows("docs/resources.md").flatMap((cells) =>
    cells.slice(1).flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, value]) => value)),
  );
  t.true(values.length >= 45, String(values.length));
  for (const value of values) {
    const resource = value.replaceAll(/<[a-z ]+>/g, "name");
    const { accessToken } = await acquire(endpoint, resource);
    t.is(JSON.parse(Buffer.from(accessToken.split(".")[1], "base64url")).aud, resource);
  }
});

test("the manifests for AKS agree with each other and with the federated credential", (t) => {
  const [account, deployment] = loadAll(snippets("yaml").find(({ page }) => page === "docs/aks.md").code);
  const { name, namespace } = account.metadata;
  const { metadata, spec } = deployment.spec.template;
  t.is(deployment.metadata.namespace, namespace);
  t.is(spec.serviceAccountName, name);
  t.is(metadata.labels["azure.workload.identity/use"], "true");
  t.like(metadata.labels, deployment.spec.selector.matchLabels);
  t.regex(pages.get("docs/aks.md"), new RegExp(`--subject system:serviceaccount:${namespace}:${name} `));
});

test("the pages count the platform packages right", (t) => {
  const count = readdirSync(join(root, "npm")).length;
  t.regex(pages.get("docs/app-service.md"), new RegExp(`That must print ${count}\\.`));
});

test("the command of the page about CI gives the tests an identity, and has their exit code", async (t) => {
  const [, command] = /^npx --no managed-identity-native (emulator -- )npm test$/m.exec(
    pages.get("docs/ci.md"),
  );
  const tests = "process.exit(process.env.IDENTITY_ENDPOINT.startsWith('http://127.0.0.1:') ? 5 : 6)";
  const { code } = await run(t, [...command.trim().split(" "), process.execPath, "-e", tests]);
  t.is(code, 5);
});

// Node.js 22 has --permission since 22.13, and no earlier version has it.
const [PERMISSION] =
  major > 22 || (major === 22 && minor >= 13) ? ["--permission"] : ["--experimental-permission"];

test("with the permissions that the page names, a token can be acquired", async (t) => {
  const [, flags] = /^node --permission (.+) \/app\/server\.mjs$/m.exec(
    pages.get("docs/hardened-runtimes.md"),
  );
  const options = flags.split(" ").map((flag) => flag.replace("/app", root));
  const program = `
    const { ManagedIdentityApplication } = require(${JSON.stringify(root)});
    new ManagedIdentityApplication().acquireToken("https://vault.azure.net").then(({ tokenType }) => console.log(tokenType));`;
  const acquireWith = (permissions) =>
    run(t, ["emulator", "--", process.execPath, PERMISSION, ...permissions, "-e", program]);
  const { code, stdout, stderr } = await acquireWith(options);
  t.deepEqual({ code, stdout }, { code: 0, stdout: "Bearer\n" }, stderr);
  const withoutAddOns = await acquireWith(options.filter((option) => option !== "--allow-addons"));
  t.is(withoutAddOns.code, 1);
  t.regex(withoutAddOns.stderr, /Start it with --allow-addons/);
});

const signalTest = testWith(test, "signals");

/** Starts the service of the page about shutdown, and requests it while the emulator holds its response. */
async function startService(t, gracePeriodMs) {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  mkdirSync(join(root, "target"), { recursive: true });
  const directory = mkdtempSync(join(root, "target", "shutdown-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, "server.mjs");
  writeFileSync(file, snippets("js").find(({ page }) => page === "docs/shutdown.md").code);
  const env = { ...endpoint.env, GRACE_PERIOD_MS: String(gracePeriodMs) };
  const { child, ended, waitForOutput } = startCommand(t, [process.execPath, file], { env });
  const [, port] = await waitForOutput(/port: (\d+)/);
  const response = fetch(`http://127.0.0.1:${port}/`);
  await endpoint.waitForRequests(1);
  child.kill("SIGTERM");
  return { ended, release, response };
}

signalTest(
  "after SIGTERM a request in flight gets its response, and the process ends before the grace period",
  async (t) => {
    const { ended, release, response } = await startService(t, 600_000);
    release();
    const { status } = await response;
    t.is(status, 200);
    t.like(await ended, { code: 0, signal: null, stderr: "" });
  },
);

signalTest("a request that is left when the grace period ends is aborted", async (t) => {
  const { ended, response } = await startService(t, 100);
  const { status } = await response;
  t.is(status, 503);
  t.like(await ended, { code: 0, signal: null, stderr: "" });
});
