// The processes of a run: the endpoint, and one fresh process for every metric, which must do what it says it did.

import { execFile, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const SECRET = "bench";
const WARM_UP = 500; // Requests before the first program's, whose cold start is not to wait for the endpoint's.
const LONGEST_MS = 600_000;

/** Runs a command to its end and gives what it printed. */
export async function output(command, options, settings) {
  const { stdout, stderr } = await promisify(execFile)(command, options, {
    maxBuffer: 16 << 20,
    timeout: LONGEST_MS,
    shell: process.platform === "win32" && command === "npm", // There npm is a script.
    ...settings,
  });
  return { stdout, stderr };
}

/** A started endpoint: the environment that leads to it, the count of its requests, and its end. */
export async function startEndpoint() {
  const child = fork(fileURLToPath(new URL("endpoint.mjs", import.meta.url)), {
    env: { ...bareEnvironment(), IDENTITY_HEADER: SECRET },
  });
  const [{ port }] = await once(child, "message");
  const url = `http://127.0.0.1:${port}/msi/token`;
  for (let warm = 0; warm < WARM_UP; warm += 1) {
    const answer = await fetch(`${url}?resource=r`, { headers: { "X-IDENTITY-HEADER": SECRET } });
    if ((await answer.json()).access_token === undefined) throw new Error("the endpoint hands out no token");
  }
  return {
    environment: { IDENTITY_ENDPOINT: url, IDENTITY_HEADER: SECRET },
    async count() {
      child.send("count");
      const [answer] = await once(child, "message");
      return answer.count;
    },
    stop: () => child.disconnect(),
  };
}

/** What every process needs of the environment, and nothing that leads to an identity or a proxy. */
function bareEnvironment() {
  const kept = ["HOME", "PATH", "SystemRoot", "TEMP", "TMPDIR"];
  return Object.fromEntries(
    kept.filter((name) => name in process.env).map((name) => [name, process.env[name]]),
  );
}

/**
 * Runs a program in a fresh process and gives its values, with the wall time of the whole process and the number
 * of requests that the endpoint got. A number of requests other than the program's own is an error.
 */
export async function measured({ folder, program, plan, flags = [], command = [] }, endpoint) {
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
    cwd: folder,
    env: { ...bareEnvironment(), ...endpoint.environment },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: LONGEST_MS,
    killSignal: "SIGKILL",
  });
  const heard = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text) => {
    heard.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    heard.stderr += text;
  });
  let exitMs;
  child.once("exit", () => {
    exitMs = Number(process.hrtime.bigint() - started) / 1e6;
  });
  const [code, signal] = await once(child, "close");
  const called = `${program} ${JSON.stringify(plan)}`;
  if (code !== 0) throw new Error(`${called} ended with ${signal ?? code}:\n${heard.stderr}`);
  const { values, requests } = JSON.parse(heard.stdout);
  const counted = (await endpoint.count()) - before;
  if (requests !== undefined && counted !== requests) {
    throw new Error(`${called}: ${requests} requests were to be made, the endpoint counted ${counted}`);
  }
  return { values: { ...values, exitMs, requests: counted }, stderr: heard.stderr };
}
