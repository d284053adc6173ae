/*
 * Loads the add-on: from the platform's package; from a file beside this one, where a bundle has it; or from the root of
 * a clone, where a build puts it. It starts no program and reads no file except the add-on.
 */

import { nodeRequire, requirePackage } from "./node-require.js";
import { VERSION } from "./version.js";

type NativeBinding = typeof import("../binding.js");

const PACKAGE = "managed-identity-native";

/** The platform packages, by process.platform and process.arch; on Linux glibc comes before musl. */
const TARGETS: { readonly [machine: string]: readonly string[] } = {
  "linux-x64": ["linux-x64-gnu", "linux-x64-musl"],
  "linux-arm64": ["linux-arm64-gnu", "linux-arm64-musl"],
  "darwin-x64": ["darwin-x64"],
  "darwin-arm64": ["darwin-arm64"],
  "win32-x64": ["win32-x64-msvc"],
  "win32-arm64": ["win32-arm64-msvc"],
};

/** Whether this file is in an installed package, so that the platform's package can be beside it. */
const isInstalled =
  typeof __dirname === "string" &&
  (__dirname.endsWith("/node_modules/managed-identity-native/dist") ||
    __dirname.endsWith("\\node_modules\\managed-identity-native\\dist"));

/** The errors of the attempts to load the add-on, by the name of its package. */
type LoadErrors = Map<string, NodeJS.ErrnoException>;

/**
 * Loads the add-on of this machine. It is always loaded by `require`, whose cache keeps an add-on from being loaded
 * twice into one thread.
 */
export function loadNativeBinding(): NativeBinding {
  const targets = TARGETS[`${process.platform}-${process.arch}`] ?? [];
  const errors: LoadErrors = new Map();
  return (
    (isInstalled ? loadFirst(targets, requireSibling, errors) : loadLocalAddon(targets, errors)) ??
    loadFirst(targets, requirePackage, errors) ??
    loadChosenLibrary() ??
    throwMissingAddon(targets, errors)
  );
}

/** Loads the first add-on that can be loaded. */
function loadFirst(
  targets: readonly string[],
  load: (target: string) => unknown,
  errors: LoadErrors,
): NativeBinding | undefined {
  for (const target of targets) {
    try {
      const addon = load(target) as NativeBinding;
      if (addon.version() === VERSION) return addon;
      throw new Error(`it is version ${addon.version()}, and this package is version ${VERSION}`);
    } catch (error) {
      recordError(errors, packageName(target), error as NodeJS.ErrnoException);
    }
  }
  return undefined;
}

/** Records an error; that a file is missing in one place says less than why another one cannot be loaded. */
function recordError(errors: LoadErrors, name: string, error: NodeJS.ErrnoException): void {
  const earlier = errors.get(name);
  if (earlier === undefined || isMissing(earlier) || !isMissing(error)) errors.set(name, error);
}

function isMissing({ code }: NodeJS.ErrnoException): boolean {
  return code === "MODULE_NOT_FOUND";
}

function packageName(target: string): string {
  return `${PACKAGE}-${target}`;
}

/** Loads the add-on in its package beside this one, which saves reading that package's package.json. */
function requireSibling(target: string): unknown {
  return nodeRequire(`${__dirname}/../../${packageName(target)}/${PACKAGE}.${target}.node`);
}

/** Loads an add-on that was copied beside a bundle of this file, or built in the clone that this file is in. */
function loadLocalAddon(targets: readonly string[], errors: LoadErrors): NativeBinding | undefined {
  return (
    loadFirst(targets, (target) => nodeRequire(`./${PACKAGE}.${target}.node`), errors) ??
    (isClone()
      ? loadFirst(targets, (target) => nodeRequire(`../${PACKAGE}.${target}.node`), errors)
      : undefined)
  );
}

function isClone(): boolean {
  try {
    nodeRequire.resolve("../Cargo.toml");
    return true;
  } catch {
    return false;
  }
}

/** Loads the library that NAPI_RS_NATIVE_LIBRARY_PATH names, of whatever version. */
function loadChosenLibrary(): NativeBinding | undefined {
  const { NAPI_RS_NATIVE_LIBRARY_PATH: path } = process.env;
  return path === undefined || path === "" ? undefined : nodeRequire(path);
}

/** Throws an error that says which add-on is missing, or why it cannot be loaded, and what helps. */
function throwMissingAddon(targets: readonly string[], errors: LoadErrors): never {
  const { platform, arch } = process;
  const libc = platform === "linux" ? detectLibc() : undefined;
  const machine = [platform, arch, libc].filter(Boolean).join(" ");
  const target = targets.at(libc === "musl" ? -1 : 0);
  if (target === undefined) {
    const packages = Object.values(TARGETS).flat().map(packageName).join(", ");
    throw new Error(
      `${PACKAGE} has no add-on for this machine (${machine}). The machines that it supports have these packages: ${packages}.`,
    );
  }
  const name = packageName(target);
  const cause = errors.get(name);
  if (isClone() && (cause === undefined || isMissing(cause))) {
    throw new Error(`${PACKAGE} has no add-on yet. In its repository, run "npm run build".`, { cause });
  }
  const [reason = ""] = String(cause?.message).split("\n");
  const state =
    cause === undefined || isMissing(cause)
      ? "is not installed"
      : `is installed, but cannot be used: ${reason}`;
  const install = [`--os=${platform}`, `--cpu=${arch}`, ...(libc === undefined ? [] : [`--libc=${libc}`])];
  const remedy =
    (cause === undefined ? undefined : remedyFor(cause, reason)) ??
    remediesForInstallation(`npm install ${install.join(" ")}`, `${name}@${VERSION}`);
  const message = `${PACKAGE} has no add-on: ${name}, its package for this machine (${machine}), ${state}.\n\n${remedy}`;
  const error: NodeJS.ErrnoException = new Error(message, { cause });
  if (cause?.code !== undefined) error.code = cause.code;
  throw error;
}

/** Returns the remedy for an add-on that is installed and may not be loaded; undefined if another one is needed. */
function remedyFor({ code }: NodeJS.ErrnoException, reason: string): string | undefined {
  if (code === "ERR_DLOPEN_DISABLED" && process.permission !== undefined) {
    return "Node.js runs with --permission, which forbids add-ons. Start it with --allow-addons, too.";
  }
  if (code === "ERR_DLOPEN_DISABLED") {
    return "Node.js runs with --no-addons, which may stand in NODE_OPTIONS. Start it without that option.";
  }
  if (/failed to map segment|operation not permitted/i.test(reason)) {
    return (
      "The file system of the add-on does not allow programs: it is mounted with the option noexec, or a security\n" +
      "policy forbids it. Mount it without noexec, or install the package on another file system."
    );
  }
  if (/GLIBC_\d/.test(reason)) {
    return (
      "The C library of this system is older than the one that the add-on needs (glibc 2.17). Use a newer system, or\n" +
      "an image with a newer one."
    );
  }
  return undefined;
}

function remediesForInstallation(forMachine: string, exact: string): string {
  return `The usual causes, and what helps:
- npm left it out, as it does when package-lock.json was written on another system
  (https://github.com/npm/cli/issues/4828). Remove node_modules and package-lock.json, then: npm install
- Optional dependencies were left out, by --omit=optional or a setting. Run: npm install --include=optional
- node_modules was copied from another system, processor or C library, or a bundler left the package behind.
  Install for the machine that runs it: ${forMachine}

To add this package alone: npm install --no-save ${exact}`;
}

/** Returns npm's name of this machine's C library. Takes milliseconds, so it is called only for the message. */
function detectLibc(): "glibc" | "musl" {
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork?: boolean }; // From Node.js 22.0 on.
  const { excludeNetwork = false } = report;
  report.excludeNetwork = true; // Otherwise it resolves the name of every peer.
  const { header } = report.getReport() as { header: { glibcVersionRuntime?: string } };
  report.excludeNetwork = excludeNetwork;
  return header.glibcVersionRuntime === undefined ? "musl" : "glibc";
}
