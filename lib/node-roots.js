"use strict";

/*
 * The root certificates that Node.js trusts in this thread. Native code reads them when an https request needs them.
 * Loading node:tls and reading the certificates takes up to 40 ms, so another thread does as much of it as possible.
 */

/** Returns how Node.js finds its root certificates, by the process's options and environment. */
function optionsOfProcess() {
  const options = [...process.execArgv, ...(process.env.NODE_OPTIONS ?? "").split(/\s+/)];
  return {
    isOpenssl: options.includes("--use-openssl-ca"),
    isSystem: options.includes("--use-system-ca") || process.env.NODE_USE_SYSTEM_CA === "1",
    hasExtra: Boolean(process.env.NODE_EXTRA_CA_CERTS),
  };
}

/**
 * Returns the roots of a process that has not called tls.setDefaultCACertificates. It is sent to another thread as its
 * source text, so it must not use anything except its parameters.
 */
function rootsByOptions(tls, { isOpenssl, isSystem, hasExtra }) {
  if (tls.getCACertificates === undefined) {
    return { certificates: tls.rootCertificates, isExclusive: false };
  }
  const extra = hasExtra && (isOpenssl || isSystem) ? tls.getCACertificates("extra") : [];
  if (isOpenssl) {
    // Node.js lists the certificates that OpenSSL finds as "system"; "default" does not include them.
    return { certificates: [...tls.getCACertificates("system"), ...extra], isExclusive: true };
  }
  const bundled = tls.getCACertificates("bundled");
  if (!isSystem) return { certificates: bundled, isExclusive: false };
  return { certificates: [...bundled, ...tls.getCACertificates("system"), ...extra], isExclusive: true };
}

/** Runs `rootsByOptions` in another thread. Resolves with undefined if the thread cannot be started. */
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
        // Not this thread's options, which can load modules.
        execArgv: [],
        // Otherwise this thread opens its own streams, which makes their descriptors non-blocking.
        stdout: true,
        stderr: true,
      });
      worker.unref();
      worker.once("message", resolve);
      worker.once("error", () => resolve(undefined));
      worker.once("exit", () => resolve(undefined));
    } catch {
      resolve(undefined); // For example, the permission model forbids workers.
    }
  });
}

/** Returns the roots of this thread, where the process can have called tls.setDefaultCACertificates. */
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
 * Whether the default certificates are Node.js's own: the bundled ones, the system's if enabled, and the extra ones.
 * Certificates that a program set have another order or another text, even if they are the same ones.
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
/** Settles when another thread has parsed the certificates for this process. */
let preparation;

async function currentRoots() {
  const options = optionsOfProcess();
  const isLoaded = process.moduleLoadList?.includes("NativeModule tls") ?? true;
  const isSlow = options.hasExtra || options.isSystem || options.isOpenssl;
  if (!isLoaded) {
    lastOfOtherThread ??= await rootsOfOtherThread(options);
    if (lastOfOtherThread !== undefined) return lastOfOtherThread;
  } else if (isSlow && require("node:tls").getCACertificates !== undefined) {
    // The threads of a process share the parsed certificates.
    preparation ??= rootsOfOtherThread({ ...options, isLoaded });
    await preparation;
  }
  return rootsOfThisThread(options);
}

let version = 0;
let lastRoots;

/** Creates the native reader. It never rejects, and leaves out certificates that native code has already. */
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
