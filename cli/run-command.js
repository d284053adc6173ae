"use strict";

// Runs a command with other environment variables. Input and output are inherited, signals are forwarded, and the exit
// code is passed on.

const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const { spawnArguments } = require("../emulator/spawn-arguments.js");
const { EXIT, PROGRAM } = require("./exit-codes.js");
const { forwardSignals } = require("./signals.js");

/** Resolves with the exit code that a shell would return. */
async function runCommand([name, ...args], env) {
  const { file, args: spawnArgs, options } = spawnArguments(name, args);
  const child = spawn(file, spawnArgs, { ...options, env, stdio: "inherit" });
  const stopForwarding = forwardSignals(child);
  try {
    return await waitForExit(child);
  } catch (error) {
    process.stderr.write(`${PROGRAM}: ${name} could not be run: ${error.message}\n`);
    return error.code === "ENOENT" ? EXIT.notFound : EXIT.notExecutable;
  } finally {
    stopForwarding();
  }
}

function waitForExit(child) {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      resolve(signal === null ? code : EXIT.signalled + constants.signals[signal]);
    });
  });
}

module.exports = { runCommand };
