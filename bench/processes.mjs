// The processes of a run: the endpoint, and a new process for every measurement, which must send the number of requests
// that it declares.

import { execFile, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const SECRET = "bench";
const WARM_UP = 500; // Requests before the first program, so that its cold start does not include that of the endpoint.
const TIMEOUT_MS = 600_000;

/** Runs a command and returns its output. */
export async function output(command, options, settings) {
  const { stdout, stderr } = await promisify(execFile)(command, options, {
    maxBuffer: 16 << 20,
    timeout: TIMEOUT_MS,
    shell: process.platform === "win32" && command === "npm", // On Windows, npm is a script.
    ...settings,
  });
  return { stdout, stderr };
}

/**
 * Starts an endpoint; returns the environment that leads to it, a function that returns its request count, and one that
 * stops it.
 */
export async function startEndpoint() {
  const child = fork(fileURLToPath(new URL("endpoint.mjs", import.meta.url)), {
    env: { ...bareEnvironment(), IDENTITY_HEADER: SECRET },
  });
  const [{ port }] = await once(child, "message");
  const url = `http://127.0.0.1:${port}/msi/token`;
  for (let warm = 0; warm < WARM_UP; warm += 1) {
    const response = await fetch(`${url}?resource=r`, { headers: { "X-IDENTITY-HEADER": SECRET } });
    if ((await response.json()).access_token === undefined) throw new Error("the endpoint returns no token");
  }
  return {
    environment: { IDENTITY_ENDPOINT: url, IDENTITY_HEADER: SECRET },
    async count() {
      child.send("count");
      const [response] = await once(child, "message");
      return response.count;
    },
    stop: () => child.disconnect(),
  };
}

/** The environment variables that every process needs, without those that select an identity or a proxy. */
function bareEnvironment() {
  const names = ["HOME", "PATH", "SystemRoot", "TEMP", "TMPDIR"];
  return Object.fromEntries(
    names.filter((name) => name in process.env).map((name) => [name, process.env[name]]),
  );
}

/**
 * Runs a program in a new process and returns its values, the wall time of the process and the number of requests that
 * the endpoint received. Throws if that number differs from the one that the program declares.
 */
export async function measure({ directory, program, plan, flags = [], command = [] }, endpoint) {
  const before = await endpoint.count();
  const [file, ...options] = [
    ...command,
    process.execPath,
    ...flags,
    `programs/${program}`,
    JSON.stringify(plan),
  ];
  const started = process.hrtime.bigint();
  const child = spawn(file, options, {
    cwd: directory,
    env: { ...bareEnvironment(), ...endpoint.environment },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const received = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text) => {
    received.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    received.stderr += text;
  });
  let exitMs;
  child.once("exit", () => {
    exitMs = Number(process.hrtime.bigint() - started) / 1e6;
  });
  const [code, signal] = await once(child, "close");
  const description = `${program} ${JSON.stringify(plan)}`;
  if (code !== 0) throw new Error(`${description} ended with ${signal ?? code}:\n${received.stderr}`);
  const { values, requests } = JSON.parse(received.stdout);
  const counted = (await endpoint.count()) - before;
  if (requests !== undefined && counted !== requests) {
    throw new Error(`${description}: ${requests} requests were expected, the endpoint received ${counted}`);
  }
  return { values: { ...values, exitMs, requests: counted }, stderr: received.stderr };
}
