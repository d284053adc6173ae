// Runs a function in a child process or in a worker thread. The function is passed as source text, so it can use only its
// parameter, which has
//   native    this package (loaded when it is first read)
//   require   as in this directory
//   argument  a copy of the test's argument
//   report    sends a value to the test
//   received  (workers only) resolves with the next value that the test posts

import { spawn } from "node:child_process";
import { on, once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { environmentWith } from "./environment.mjs";

const HERE = fileURLToPath(import.meta.url);

/**
 * Starts a program in a child process. `command` precedes Node.js's own command, `flags` are Node.js's options, and
 * `stdin` and `pipes` are the kinds of descriptor 0 and of those from 3 on, as in `spawn`. Returns `child`, `next()`, which resolves with the next report, and `ended`, which resolves with
 * `{ code, signal, reports, stderr }`.
 */
export function startProcess(
  t,
  program,
  { argument = null, env, flags = [], command = [], stdin = "ignore", pipes = [] } = {},
) {
  const code = `(${program})(${scope("JSON.parse(process.argv[2])", "process.argv[1]", SYNCHRONOUS)})`;
  const [file, ...rest] = [
    ...command,
    process.execPath,
    ...flags,
    "-e",
    code,
    HERE,
    JSON.stringify(argument),
  ];
  const child = spawn(file, rest, { env: environmentWith(env), stdio: [stdin, "pipe", "pipe", ...pipes] });
  t.teardown(() => child.kill("SIGKILL"));
  const reports = [];
  const waiting = [];
  let unfinished = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (chunk) => {
    const lines = (unfinished + chunk).split("\n");
    unfinished = lines.pop();
    for (const line of lines) {
      const value = JSON.parse(line);
      reports.push(value);
      waiting.shift()?.resolve(value);
    }
  });
  const ended = Promise.all([once(child, "close"), text(child.stderr)]).then(([[status, signal], stderr]) => {
    for (const { reject } of waiting) reject(new Error(`the process ended (${status ?? signal}): ${stderr}`));
    return { code: status, signal, reports, stderr };
  });
  let taken = 0;
  const next = () => {
    taken += 1;
    if (reports.length >= taken) return Promise.resolve(reports[taken - 1]);
    return new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
    });
  };
  return { child, next, ended };
}

/** Runs a program in a child process. Returns its reports, and fails the test if the program fails. */
export async function runProcess(t, program, options) {
  const { code, signal, reports, stderr } = await startProcess(t, program, options).ended;
  t.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
  return reports;
}

/** Starts a program in a worker thread. `next()` resolves with the next report. */
export function startWorker(t, program, { argument = null, env } = {}) {
  const code = `
    const { parentPort, workerData } = require("node:worker_threads");
    const { once } = require("node:events");
    (${program})(${scope("workerData.argument", "workerData.here", POSTING)});
  `;
  const worker = new Worker(code, {
    eval: true,
    env: environmentWith(env),
    workerData: { argument, here: HERE },
  });
  t.teardown(() => worker.terminate());
  const reports = on(worker, "message");
  return {
    worker,
    next: async () => (await reports.next()).value[0],
    post: (value) => worker.postMessage(value),
    terminate: () => worker.terminate(),
  };
}

const SYNCHRONOUS = `
  report: (value) => require("node:fs").writeSync(1, JSON.stringify(value) + "\\n"),
`;
const POSTING = `
  report: (value) => parentPort.postMessage(value),
  received: async () => (await once(parentPort, "message"))[0],
`;

function scope(argument, here, ways) {
  return `{
    argument: ${argument},
    require: require("node:module").createRequire(${here}),
    get native() {
      return this.require("managed-identity-native");
    },
    ${ways}
  }`;
}
