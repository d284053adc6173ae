"use strict";

// Runs a command with other variables, as if there were nothing between it and the terminal: its input and output
// are ours, signals reach it, and its exit code is passed on. It must not know what the variables are for.

const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const { commandOf } = require("../emulator/spawn-arguments.js");
const { passOn } = require("./signals.js");
const { EXIT, NAME } = require("./exit-codes.js");

/** Resolves with the exit code that a shell would give. */
async function runCommand([name, ...args], env) {
  const { file, args: all, options } = commandOf(name, args);
  const child = spawn(file, all, { ...options, env, stdio: "inherit" });
  const stop = passOn(child);
  try {
    return await exitOf(child);
  } catch (error) {
    process.stderr.write(`${NAME}: ${name} cannot be run: ${error.message}\n`);
    return error.code === "ENOENT" ? EXIT.notFound : EXIT.notExecutable;
  } finally {
    stop();
  }
}

function exitOf(child) {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      resolve(signal === null ? code : EXIT.signalled + constants.signals[signal]);
    });
  });
}

module.exports = { runCommand };
