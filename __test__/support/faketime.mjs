// Child processes whose clocks can be moved, by libfaketime in its variant for multi-threaded programs. CI installs it.
// Where it is missing, and under AddressSanitizer, whose runtime it blocks, its tests are left to the Rust tests, which run
// in paused time.

import { fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environmentWith } from "./environment.mjs";

const FAKETIME = ["x86_64", "aarch64"]
  .map((cpu) => `/usr/lib/${cpu}-linux-gnu/faketime/libfaketimeMT.so.1`)
  .find(existsSync);

/** Returns why clocks cannot be moved on this machine; undefined if they can. */
export function findFaketimeProblem() {
  if (process.env.LD_PRELOAD?.includes("asan")) return "not under AddressSanitizer";
  if (FAKETIME === undefined) return "libfaketime is not installed";
  const { status } = spawnSync(process.execPath, ["--version"], { env: { LD_PRELOAD: FAKETIME } });
  // It is for glibc.
  return status === 0 ? undefined : "libfaketime is for another C library";
}

/**
 * Starts a program that uses faketime-child.mjs. Returns a function that sends a message and resolves with the reply.
 * With `isSuspended` only the wall clock jumps, as while a machine sleeps.
 */
export async function startWithFaketime(t, program, { env, isSuspended = false } = {}) {
  const directory = mkdtempSync(join(tmpdir(), "clock-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const clock = join(directory, "clock");
  writeFileSync(clock, "+0");
  const faked = {
    LD_PRELOAD: FAKETIME,
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_NO_CACHE: "1",
    ...(isSuspended && { FAKETIME_DONT_FAKE_MONOTONIC: "1" }),
  };
  const child = fork(program, { env: environmentWith({ ...faked, ...env }), execArgv: [] });
  t.teardown(() => child.kill("SIGKILL"));
  await once(child, "message");
  const pending = new Map();
  child.on("message", ({ id, ...reply }) => pending.get(id)(reply));
  let last = 0;
  return (message) =>
    new Promise((resolve) => {
      last += 1;
      pending.set(last, resolve);
      child.send({ id: last, ...message });
    });
}
