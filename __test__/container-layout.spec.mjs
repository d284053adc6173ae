// The Dockerfile for TypeScript in docs/containers.md, without containers: each stage is a folder, and each instruction
// runs there. The final stage runs as another user if this process may change its user, in a folder that it cannot write
// to, and gets its token from an emulator in another process.

import { execFile } from "node:child_process";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { start, startCommand } from "./support/command-line.mjs";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(join(root, "docs", "containers.md"), "utf8");
const [, dockerfile] = /^## TypeScript\n.*?^```dockerfile\n(.*?)^```$/ms.exec(page);
const [, copyTarballs] = /^## Before the release\n.*?^```dockerfile\n(.*?)^```$/ms.exec(page);

const SERVICE = `
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { ManagedIdentityApplication } from "managed-identity-native";

const identity = ManagedIdentityApplication.fromEnvironment();
const server = createServer(async (request, response) => {
  if (request.url === "/health") return response.end();
  const { accessToken } = await identity.acquireToken("https://vault.azure.net");
  const claims: unknown = JSON.parse(Buffer.from(accessToken.split(".")[1] ?? "", "base64url").toString());
  response.end(JSON.stringify(claims));
});
server.listen(Number(process.env.PORT), "127.0.0.1", () => {
  console.log("listening on %d", (server.address() as AddressInfo).port);
});
process.once("SIGTERM", () => server.close());
`;

/** Creates a user's project, with the tarballs of the package in its lock file. */
async function createProject(folder) {
  const tarballs = join(folder, "packages");
  mkdirSync(join(folder, "src"), { recursive: true });
  const manifest = { name: "orders", version: "1.0.0", private: true, type: "module" };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  const compilerOptions = {
    target: "es2022",
    module: "nodenext",
    strict: true,
    types: ["node"],
    rootDir: "src",
    outDir: "dist",
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["src"] }));
  writeFileSync(join(folder, "src", "server.ts"), SERVICE);
  const { stdout } = await run(process.execPath, [join(root, "scripts", "pack-local.mjs"), tarballs]);
  const [, install] = /^ {2}npm (install .+)$/m.exec(stdout);
  await npm(folder, [...install.split(" "), "--package-lock-only", "--no-audit", "--no-fund"]);
}

/** Runs npm without a network and without the machine's cache, in which it would find tarballs that are not copied. */
async function npm(folder, args) {
  const cache = mkdtempSync(join(tmpdir(), "npm-cache-"));
  const settings = {
    npm_config_offline: "true",
    npm_config_cache: cache,
    npm_config_update_notifier: "false",
  };
  try {
    await run("npm", args, { cwd: folder, env: { ...process.env, ...settings } });
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

/** Returns the stages as `{ name, instructions: [instruction, arguments][] }`. */
function parseDockerfile(text) {
  return text
    .split(/^FROM /m)
    .filter(Boolean)
    .map((stage) => {
      const [image, ...lines] = stage.trim().split("\n");
      const instructions = lines.map((line) => [
        line.slice(0, line.indexOf(" ")),
        line.slice(line.indexOf(" ") + 1),
      ]);
      return { name: / AS (\w+)$/.exec(image)?.[1] ?? "final", instructions };
    });
}

/** Runs the instructions of one stage in a folder, and returns those that describe how the image runs. */
async function layOut({ name, instructions }, folder, project) {
  const settings = {};
  let workingDirectory = join(folder, name);
  for (const [instruction, text] of instructions) {
    if (instruction === "WORKDIR") {
      workingDirectory = join(folder, name, text);
      mkdirSync(workingDirectory, { recursive: true });
    } else if (instruction === "COPY") {
      const words = text.split(" ");
      const from = words[0].startsWith("--from=")
        ? join(folder, words.shift().slice("--from=".length))
        : project;
      const target = words.pop();
      for (const source of words) {
        const path = target.endsWith("/") ? join(target, basename(source)) : target;
        cpSync(join(from, source), join(workingDirectory, path), { recursive: true });
      }
    } else if (instruction === "RUN" && text.startsWith("npm ci")) {
      await npm(workingDirectory, text.split(" ").slice(1));
      if (text === "npm ci") linkDevelopmentDependencies(workingDirectory);
    } else if (instruction === "RUN") {
      await run("npx", text.split(" ").slice(1), { cwd: workingDirectory });
    } else {
      settings[instruction] = text;
    }
  }
  return { ...settings, workingDirectory };
}

/** Links the compiler and the types of this repository, because nothing is downloaded here. */
function linkDevelopmentDependencies(folder) {
  const { resolve } = createRequire(import.meta.url);
  const modules = join(folder, "node_modules");
  for (const path of ["@types", ".bin"]) mkdirSync(join(modules, path), { recursive: true });
  symlinkSync(dirname(resolve("@types/node/package.json")), join(modules, "@types", "node"));
  const typescript = dirname(resolve("typescript/package.json"));
  symlinkSync(join(typescript, "bin", "tsc"), join(modules, ".bin", "tsc"));
}

testWith(
  test,
  "signals",
  "sh",
)("a TypeScript service in the layout of its image gets a token of its user-assigned identity", async (t) => {
  t.timeout(180_000);
  const folder = mkdtempSync(join(tmpdir(), "container-layout-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const project = join(folder, "project");
  await createProject(project);

  const withTarballs = dockerfile.replaceAll(/^RUN npm ci/gm, (line) => copyTarballs + line);
  let image;
  for (const stage of parseDockerfile(withTarballs)) image = await layOut(stage, folder, project);
  await run("chmod", ["-R", "a+rX,a-w", join(folder, "final")]);
  t.teardown(() => run("chmod", ["-R", "u+w", join(folder, "final")]));
  chmodSync(folder, 0o755);

  const secret = "local-development";
  const clientId = "11111111-2222-4333-8444-555555555555";
  const options = ["--host", "0.0.0.0", "--secret", secret, "--any-identity"];
  const emulator = start(t, ["emulator", ...options]);
  const [, endpoint] = await emulator.waitForOutput(/^export IDENTITY_ENDPOINT=(\S+)$/m);

  const [variable, value] = image.ENV.split("=");
  const user = process.getuid() === 0 ? Number(image.USER) : undefined;
  const settings = {
    cwd: image.workingDirectory,
    uid: user,
    gid: user,
    env: {
      [variable]: value,
      PORT: "0",
      AZURE_CLIENT_ID: clientId,
      IDENTITY_ENDPOINT: endpoint,
      IDENTITY_HEADER: secret,
    },
  };
  const commandOf = (text) => {
    const [program, ...args] = JSON.parse(text);
    t.is(program, "node");
    return [process.execPath, ...args];
  };
  const { child, ended, waitForOutput } = startCommand(t, commandOf(image.CMD), settings);
  const [, port] = await waitForOutput(/listening on (\d+)/);
  const response = await fetch(`http://127.0.0.1:${port}/`);
  const { aud, appid } = await response.json();
  t.deepEqual({ aud, appid }, { aud: "https://vault.azure.net", appid: clientId });

  // The health check, at the port that is free here, and after the service has ended.
  const healthCheck = commandOf(image.HEALTHCHECK.slice("CMD ".length).replace(":3000/", `:${port}/`));
  t.like(await startCommand(t, healthCheck, settings).ended, { code: 0 });
  const probe = [process.execPath, "node_modules/managed-identity-native/dist/cli.js", "doctor", "--probe"];
  t.like(await startCommand(t, probe, settings).ended, { code: 0, stdout: "AppService responds\n" });
  child.kill("SIGTERM");
  t.like(await ended, { code: 0, signal: null, stderr: "" });
  t.like(await startCommand(t, healthCheck, settings).ended, { code: 1 });
});
