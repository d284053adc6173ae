// Runs the commands of a user in a folder, each with a time limit and with its output in the error of a failure.

import { spawn } from "node:child_process";
import { once } from "node:events";

/** Copied before ../support/environment.mjs removes variables of proxies and certificates, which package managers need. */
const machine = { ...process.env };
/** What npm adds to the environment of a script, except the user's own settings of registry, cache and files. */
const FROM_NPM = /^(npm_(?!config_(registry|cache|userconfig|globalconfig)$)|INIT_CWD$)/i;

/**
 * Runs a command and resolves with its output, `{ stdout, stderr }`. Rejects with all of the output if the command fails,
 * or if it has not ended after `minutes`; then its whole process group is killed.
 */
export async function run(command, { cwd, env = {}, minutes = 5 }) {
  const { code, signal, stdout, stderr } = await runToEnd(command, { cwd, env, minutes });
  if (code === 0) return { stdout, stderr };
  const end = signal === null ? `ended with ${code}` : `was ended by ${signal}`;
  throw new Error(`${command.join(" ")}\n${end}, in ${cwd}:\n${stdout}\n${stderr}`);
}

/** The same, but resolves with `code` and `signal` too, however the command ends. */
export async function runToEnd([file, ...args], { cwd, env = {}, minutes = 5 }) {
  const child = spawn(file, args, {
    cwd,
    detached: true,
    env: { ...userEnvironment(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"]) {
    child[stream].setEncoding("utf8").on("data", (chunk) => {
      output[stream] += chunk;
    });
  }
  const timer = setTimeout(() => process.kill(-child.pid, "SIGKILL"), minutes * 60_000);
  try {
    const [code, signal] = await once(child, "close");
    return { code, signal, ...output };
  } finally {
    clearTimeout(timer);
  }
}

function userEnvironment() {
  const variables = Object.entries(machine).filter(([name]) => !FROM_NPM.test(name));
  return {
    ...Object.fromEntries(variables),
    // Without an emulator, the machine's own identity must not be used.
    AZURE_POD_IDENTITY_AUTHORITY_HOST: "http://127.0.0.1:1",
    npm_config_update_notifier: "false",
  };
}
