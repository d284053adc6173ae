"use strict";

/*
 * The root certificates that Node.js trusts in this thread, for native code, which asks for them when an https request
 * needs them. Loading node:tls and reading the certificates take up to 40 ms; another thread does what it can of that.
 */

/** How the options of the process and its environment make Node.js find its roots. */
function optionsOfProcess() {
  const options = [...process.execArgv, ...(process.env.NODE_OPTIONS ?? "").split(/\s+/)];
  return {
    isOpenssl: options.includes("--use-openssl-ca"),
    isSystem: options.includes("--use-system-ca") || process.env.NODE_USE_SYSTEM_CA === "1",
    hasExtra: Boolean(process.env.NODE_EXTRA_CA_CERTS),
  };
}

/**
 * The roots, as `certificates` and `isExclusive`, for a process that has not called tls.setDefaultCACertificates. Sent
 * to another thread as its source text, so it sees nothing but its parameters.
 */
function rootsByOptions(tls, { isOpenssl, isSystem, hasExtra }) {
  if (tls.getCACertificates === undefined) {
    return { certificates: tls.rootCertificates, isExclusive: false };
  }
  const extra = hasExtra && (isOpenssl || isSystem) ? tls.getCACertificates("extra") : [];
  if (isOpenssl) {
    // What OpenSSL finds by itself is what Node.js calls the system's; the default leaves it out.
    return { certificates: [...tls.getCACertificates("system"), ...extra], isExclusive: true };
  }
  const bundled = tls.getCACertificates("bundled");
  if (!isSystem) return { certificates: bundled, isExclusive: false };
  return { certificates: [...bundled, ...tls.getCACertificates("system"), ...extra], isExclusive: true };
}

/** What another thread makes of that; undefined if there can be none. */
function rootsOfOtherThread(options) {
  const program = `
    const { parentPort, workerData } = require("node:worker_threads");
    const tls = require("node:tls");
    if (workerData.hasExtra && workerData.isLoaded) tls.getCACertificates("extra");
    parentPort.postMessage((${rootsByOptions})(tls, workerData));
  `;
  return new Promise((resolve) => {
    try {
      const { Worker } = require("node:worker_threads");
      const worker = new Worker(program, {
        eval: true,
        workerData: options,
        // Without the options of this thread, which can have it load modules.
        execArgv: [],
        // Else this thread would open its own, which makes the descriptors non-blocking.
        stdout: true,
        stderr: true,
      });
      worker.unref();
      worker.once("message", resolve);
      worker.once("error", () => resolve(undefined));
      worker.once("exit", () => resolve(undefined));
    } catch {
      resolve(undefined); // The permission model forbids it, for example.
    }
  });
}

/** The roots of this thread, where node:tls is loaded, so that the process can have set others. */
function rootsOfThisThread(options) {
  const tls = require("node:tls");
  if (tls.getCACertificates === undefined) return rootsByOptions(tls, options);
  const current = tls.getCACertificates("default");
  if (current === lastDefault) return lastOfThisThread;
  lastDefault = current;
  lastOfThisThread = isUntouched(tls, current, options)
    ? rootsByOptions(tls, options)
    : { certificates: current, isExclusive: true };
  return lastOfThisThread;
}

/**
 * Whether a default is what Node.js itself makes it: the bundled certificates, the system's if wanted, the extra ones.
 * Certificates that were set come in another order and in other words, even if they are the same.
 */
function isUntouched(tls, current, { isOpenssl, isSystem, hasExtra }) {
  const bundled = isOpenssl ? [] : tls.getCACertificates("bundled");
  const system = isSystem && !isOpenssl ? tls.getCACertificates("system") : [];
  const extra = hasExtra ? tls.getCACertificates("extra") : [];
  const usual = [...bundled, ...system, ...extra];
  return (
    current.length === usual.length && current.every((certificate, index) => certificate === usual[index])
  );
}

let lastDefault;
let lastOfThisThread;
let lastOfOtherThread;
/** Settles when another thread has read what this one would have to wait for. */
let preparation;

async function currentRoots() {
  const options = optionsOfProcess();
  const isLoaded = process.moduleLoadList?.includes("NativeModule tls") ?? true;
  const isSlow = options.hasExtra || options.isSystem || options.isOpenssl;
  if (!isLoaded) {
    lastOfOtherThread ??= await rootsOfOtherThread(options);
    if (lastOfOtherThread !== undefined) return lastOfOtherThread;
  } else if (isSlow && require("node:tls").getCACertificates !== undefined) {
    // What one thread has parsed, the others of the process find.
    preparation ??= rootsOfOtherThread({ ...options, isLoaded });
    await preparation;
  }
  return rootsOfThisThread(options);
}

let version = 0;
let lastRoots;

/** A reader for native code: it never throws, and leaves out what native code has by this version. */
function reader(NodeRoots) {
  return new NodeRoots(async (known) => {
    try {
      const roots = await currentRoots();
      if (!isSame(roots, lastRoots)) {
        version += 1;
        lastRoots = roots;
      }
    } catch {
      if (lastRoots === undefined) return { version: 0, isExclusive: false };
    }
    const { certificates, isExclusive } = lastRoots;
    return {
      version,
      certificates: version === known ? undefined : certificates.join("\n"),
      isExclusive,
    };
  });
}

function isSame(one, other) {
  return (
    one === other ||
    (one.isExclusive === other?.isExclusive &&
      one.certificates.length === other.certificates.length &&
      one.certificates.every((certificate, index) => certificate === other.certificates[index]))
  );
}

module.exports = { reader };
