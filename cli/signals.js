"use strict";

// The signals by which an emulator is told to end, or which are meant for the command that it runs.

/** A service's end, Ctrl-C, and the terminal's. */
const ENDING = ["SIGINT", "SIGTERM", "SIGHUP"];
/** What a terminal sends to everybody in the foreground by itself. */
const FROM_KEYBOARD = ["SIGINT", "SIGQUIT"];
const PASSED_ON = [...ENDING, "SIGQUIT", "SIGUSR2"];

/** A promise of the first signal that asks this process to end; from now on none ends it by itself. */
function askedToEnd() {
  return new Promise((resolve) => {
    for (const signal of ENDING) process.on(signal, resolve);
  });
}

/** Passes signals on to a child until the function that is returned is called. */
function passOn(child) {
  const inTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
  const pass = (signal) => {
    // A second Ctrl-C tells many programs to leave at once.
    if (!(inTerminal && FROM_KEYBOARD.includes(signal))) child.kill(signal);
  };
  const available = process.platform === "win32" ? ENDING : PASSED_ON;
  for (const signal of available) process.on(signal, pass);
  return () => {
    for (const signal of available) process.off(signal, pass);
  };
}

module.exports = { askedToEnd, passOn };
