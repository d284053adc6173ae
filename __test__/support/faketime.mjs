// Processes whose clocks can be moved, by libfaketime: in the variant for programs with threads. CI installs it; where
// it is missing, and under AddressSanitizer, in whose runtime it hangs, what needs it is left to the Rust tests, which
// run in paused time.

import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environmentWith } from "./environment.mjs";

const FAKETIME = ["x86_64", "aarch64"]
  .map((cpu) => `/usr/lib/${cpu}-linux-gnu/faketime/libfaketimeMT.so.1`)
  .find(existsSync);

const isWatched = process.env.LD_PRELOAD?.includes("asan");

export const hasFaketime = FAKETIME !== undefined && !isWatched;

/** Says why a test that needs a moving clock ends here; an error in CI. */
export function logMissingFaketime(t) {
  t.log(`${isWatched ? "under AddressSanitizer" : "libfaketime is not installed"}: left to the Rust tests`);
  t.falsy(process.env.CI, "CI must install libfaketime");
}

/**
 * Starts a program that answers messages, and whose clocks follow the file in FAKETIME_TIMESTAMP_FILE; gives a function
 * that sends a message and resolves with the answer to it. `isSuspended`: only the wall clock moves, as while a machine
 * sleeps.
 */
export async function startWithFaketime(t, program, { env, isSuspended = false } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "clock-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const clock = join(folder, "clock");
  writeFileSync(clock, "+0");
  const faked = hasFaketime && {
    LD_PRELOAD: FAKETIME,
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_NO_CACHE: "1",
    ...(isSuspended && { FAKETIME_DONT_FAKE_MONOTONIC: "1" }),
  };
  const child = fork(program, { env: environmentWith({ ...faked, ...env }), execArgv: [] });
  t.teardown(() => child.kill("SIGKILL"));
  await once(child, "message");
  const waiting = new Map();
  child.on("message", ({ id, ...reply }) => waiting.get(id)(reply));
  let last = 0;
  return (message) =>
    new Promise((resolve) => {
      last += 1;
      waiting.set(last, resolve);
      child.send({ id: last, ...message });
    });
}
