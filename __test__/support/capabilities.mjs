// The capabilities of a machine, besides Node.js, that tests need, each with a check. A test whose machine lacks one is
// skipped, its title gets the reason, and scripts/run-specs.mjs counts the skipped tests at the end of a run.

import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, lstatSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { namespaceCommand } from "./arc-namespace.mjs";
import { findFaketimeProblem } from "./faketime.mjs";
import { ownAddressCommand, unansweredAddressCommand } from "./imds-address.mjs";
import { ownFileCommand, withoutIpv6Command } from "./own-files.mjs";
import { findSlowFilesProblem } from "./slow-files/index.mjs";

const isWindows = process.platform === "win32";
const isLinux = process.platform === "linux";
const isSanitized = process.env.LD_PRELOAD?.includes("asan") === true;

/** A program that fails if it cannot listen on a loopback address besides 127.0.0.1. */
const LISTEN_ON_LOOPBACK = `require("node:net").createServer()
  .on("error", ({ code }) => { console.error(code); process.exit(1); })
  .listen(0, "127.128.0.1", () => process.exit());`;

/** By name: returns why the machine lacks the capability; undefined if it has it. */
const CHECKS = {
  /** Processes can be stopped and notified. Windows can only end them. */
  signals: () => (isWindows ? "Windows ends processes only" : undefined),
  /** `https_proxy` and `HTTPS_PROXY` are two variables. */
  "case-sensitive variables": () => (isWindows ? "names of variables have no case on Windows" : undefined),
  /** The limits of `ulimit`. */
  "resource limits": () => whyNot(["sh", "-c", 'ulimit -n 64 && exec "$@"', "sh"]),
  "file permissions": () => (process.getuid === undefined ? "files have no mode and owner here" : undefined),
  /** Windows lets only privileged users create them. */
  "symbolic links": findSymbolicLinkProblem,
  /** Certificates besides those of the system. Wine cannot create the chain engine with which Windows verifies them. */
  "extra trust roots": () => (isWindows ? findExtraRootsProblem() : undefined),
  cargo: () => whyNotRun(["cargo", "--version"]) ?? whyNotRun(["rustc", "--version"]),
  "C compiler": () => whyNotRun(["gcc", "--version"]),
  root: () => (process.getuid?.() === 0 ? undefined : "this process is not root"),
  sh: () => whyNot(["sh", "-c", 'exec "$@"', "sh"]),
  bash: () => whyNot(["bash", "-c", 'exec "$@"', "bash"]),
  /** A terminal for a program: `script` of util-linux. That of BSD and macOS has other options. */
  "util-linux script": () => whyNotRun(["script", "--quiet", "--return", "--command", "true", "/dev/null"]),

  // Under Wine the path exists, and is that of the host.
  "/proc": () => (!isWindows && existsSync("/proc/self/task") ? undefined : "no /proc"),
  /** Reading the memory of a process. Under AddressSanitizer it maps more than the machine has. */
  "/proc/pid/mem": () => {
    if (isSanitized) return "not under AddressSanitizer";
    return isLinux && existsSync("/proc/self/mem") ? undefined : "no /proc/self/mem";
  },
  /** Directories of the test's own in place of those of Azure Arc's agent, which variables name on Windows. */
  "own directories of Azure Arc": () => (isWindows ? undefined : CHECKS["mount namespaces"]()),
  /** Wine sets ProgramFiles in each process that starts. */
  "own variable ProgramFiles": () => (isWindows ? findProgramFilesProblem() : undefined),
  "mount namespaces": () => linuxOnly() ?? whyNot(namespaceCommand),
  "network namespaces": () => linuxOnly() ?? whyNot(ownAddressCommand),
  "veth interfaces": () => linuxOnly() ?? whyNot(unansweredAddressCommand),
  /** All of 127.0.0.0/8 is loopback without any setting, as on Linux and Windows. */
  "other loopback addresses": () => whyNotRun([process.execPath, "-e", LISTEN_ON_LOOPBACK]),
  /** Elsewhere a connection is silent for 250 ms before its next use, so that quick calls open further ones. */
  "acknowledgements at once": linuxOnly,
  /** Of the machine, in IPv4. */
  "address besides loopback": () => (externalAddress() === undefined ? "none" : undefined),
  /** A full queue of a listening socket leaves connections unanswered; other systems refuse them. */
  "unanswered connections": linuxOnly,
  libfaketime: findFaketimeProblem,
  /** OpenSSL's variables name the system's roots. */
  "roots from SSL_CERT_FILE": linuxOnly,
  /** A file system of a few KiB, for root. In the namespace only root owns the parent directories. */
  "small disks": () => CHECKS.root() ?? CHECKS["mount namespaces"](),
  "own hosts file": () => linuxOnly() ?? whyNot(ownFileCommand("/etc/hosts", "/dev/null")),
  "own name server": () => linuxOnly() ?? whyNot(ownFileCommand("/etc/resolv.conf", "/dev/null")),
  "IPv6 that can be disabled": () => linuxOnly() ?? whyNot(withoutIpv6Command),
  /** A C library, preloaded, that makes file operations hang. */
  "slow files": findSlowFilesProblem,
};

/** Returns an IPv4 address of this machine that is not loopback's; undefined if it has none. */
export function externalAddress() {
  const addresses = Object.values(networkInterfaces()).flat();
  return addresses.find(({ family, internal }) => family === "IPv4" && !internal)?.address;
}

function findSymbolicLinkProblem() {
  const directory = mkdtempSync(join(tmpdir(), "symbolic-link-"));
  const link = join(directory, "link");
  try {
    symlinkSync(directory, link);
    // Wine reports success without a link.
    return lstatSync(link).isSymbolicLink() ? undefined : "it is not a link";
  } catch (error) {
    return error.code;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function findExtraRootsProblem() {
  const program = fileURLToPath(new URL("extra-roots.mjs", import.meta.url));
  const { stdout } = spawnSync(process.execPath, [program], { encoding: "utf8" });
  return stdout === "" ? undefined : `CertCreateCertificateChainEngine of Wine: ${stdout.trim()}`;
}

function findProgramFilesProblem() {
  const env = { ...process.env, ProgramFiles: "C:\\own" };
  const { stdout } = spawnSync(process.execPath, ["-p", "process.env.ProgramFiles"], {
    env,
    encoding: "utf8",
  });
  return stdout.trim() === env.ProgramFiles ? undefined : `a process gets ${stdout.trim()}`;
}

function linuxOnly() {
  return isLinux ? undefined : "Linux only";
}

/** Returns why a program cannot be started by this command prefix. */
function whyNot(prefix) {
  return whyNotRun([...prefix, process.execPath, "--version"]);
}

function whyNotRun([file, ...args]) {
  const { status, error, stderr } = spawnSync(file, args, { encoding: "utf8" });
  if (status === 0) return undefined;
  return error?.message ?? (stderr.trim() || `it ended with ${status}`);
}

const reasons = new Map();

/** Returns why the machine lacks one of these capabilities, and which; undefined if it has all of them. */
export function findMissing(...capabilities) {
  for (const capability of capabilities) {
    if (!reasons.has(capability)) reasons.set(capability, CHECKS[capability]());
    const reason = reasons.get(capability);
    if (reason !== undefined) return { capability, reason: String(reason).trim().split("\n")[0] };
  }
  return undefined;
}

/** Returns the capabilities that clients of an emulated source need: one has a certificate of the emulator's own root. */
export function neededBySource(source) {
  return /^workload[- ]?identity$/i.test(source) ? ["extra trust roots"] : [];
}

/** Whether the machine has all of these capabilities. For a test, use `testWith`. */
export function has(...capabilities) {
  return findMissing(...capabilities) === undefined;
}

/**
 * Returns `test` (or `test.serial`) if the machine has all of these capabilities; otherwise a function with the same
 * parameters that registers a skipped test.
 */
export function testWith(test, ...capabilities) {
  const missing = findMissing(...capabilities);
  if (missing === undefined) return test;
  return (title, ...rest) => {
    const fullTitle = `${title} (without ${missing.capability}: ${missing.reason})`;
    if (process.env.SKIPPED_TESTS_FILE !== undefined) {
      appendFileSync(process.env.SKIPPED_TESTS_FILE, `${missing.capability}\n`);
    }
    test.skip(fullTitle, ...rest);
  };
}
