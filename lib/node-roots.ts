/*
 * The root certificates that Node.js trusts in this thread. Native code reads them when an https request needs them.
 * Loading node:tls and reading the certificates takes up to 40 ms, so another thread does as much of it as possible.
 */

import { binding, type JsNodeRoots, type NodeRoots } from "./native-binding.js";
import { nodeRequire } from "./node-require.js";

/** node:tls; the function is there from Node.js 22.15 on. */
type Tls = typeof import("node:tls") & {
  getCACertificates?(type: "default" | "system" | "bundled" | "extra"): readonly string[];
};
/** Where Node.js finds its root certificates. */
type RootOptions = { readonly isOpenssl: boolean; readonly isSystem: boolean; readonly hasExtra: boolean };
type Roots = {
  readonly certificates: readonly string[];
  /** Whether the process has chosen them, so that no others count. */
  readonly isExclusive: boolean;
};

/** Returns how Node.js finds its root certificates, by the process's options and environment. */
function optionsOfProcess(): RootOptions {
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
function rootsByOptions(tls: Tls, { isOpenssl, isSystem, hasExtra }: RootOptions): Roots {
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
function rootsOfOtherThread(
  options: RootOptions & { readonly isLoaded?: boolean },
): Promise<Roots | undefined> {
  const program = `
    const { parentPort, workerData } = require("node:worker_threads");
    const tls = require("node:tls");
    if (workerData.hasExtra && workerData.isLoaded) tls.getCACertificates("extra");
    parentPort.postMessage((${rootsByOptions})(tls, workerData));
  `;
  return new Promise((resolve) => {
    try {
      const { Worker }: typeof import("node:worker_threads") = nodeRequire("node:worker_threads");
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
function rootsOfThisThread(options: RootOptions): Roots {
  const tls: Tls = nodeRequire("node:tls");
  if (tls.getCACertificates === undefined) return rootsByOptions(tls, options);
  const current = tls.getCACertificates("default");
  if (current === lastDefault && lastOfThisThread !== undefined) return lastOfThisThread;
  lastDefault = current;
  lastOfThisThread = isNodeDefault(tls.getCACertificates, current, options)
    ? rootsByOptions(tls, options)
    : { certificates: current, isExclusive: true };
  return lastOfThisThread;
}

/**
 * Whether the default certificates are Node.js's own: the bundled ones, the system's if enabled, and the extra ones.
 * Certificates that a program set have another order or another text, even if they are the same ones.
 */
function isNodeDefault(
  getCACertificates: NonNullable<Tls["getCACertificates"]>,
  current: readonly string[],
  { isOpenssl, isSystem, hasExtra }: RootOptions,
): boolean {
  const bundled = isOpenssl ? [] : getCACertificates("bundled");
  const system = isSystem && !isOpenssl ? getCACertificates("system") : [];
  const extra = hasExtra ? getCACertificates("extra") : [];
  const usual = [...bundled, ...system, ...extra];
  return (
    current.length === usual.length && current.every((certificate, index) => certificate === usual[index])
  );
}

let lastDefault: readonly string[] | undefined;
let lastOfThisThread: Roots | undefined;
let lastOfOtherThread: Roots | undefined;
/** Settles when another thread has parsed the certificates for this process. */
let preparation: Promise<Roots | undefined> | undefined;

async function currentRoots(): Promise<Roots> {
  const options = optionsOfProcess();
  const { moduleLoadList } = process as { readonly moduleLoadList?: readonly string[] };
  const isLoaded = moduleLoadList?.includes("NativeModule tls") ?? true;
  const isSlow = options.hasExtra || options.isSystem || options.isOpenssl;
  if (!isLoaded) {
    lastOfOtherThread ??= await rootsOfOtherThread(options);
    if (lastOfOtherThread !== undefined) return lastOfOtherThread;
  } else if (isSlow && (nodeRequire("node:tls") as Tls).getCACertificates !== undefined) {
    // The threads of a process share the parsed certificates.
    preparation ??= rootsOfOtherThread({ ...options, isLoaded });
    await preparation;
  }
  return rootsOfThisThread(options);
}

let version = 0;
let lastRoots: Roots | undefined;

/** Creates the native reader. It never rejects, and leaves out certificates that native code has already. */
export function createNodeRoots(): NodeRoots {
  return new binding.NodeRoots(async (known): Promise<JsNodeRoots> => {
    try {
      const roots = await currentRoots();
      if (!isSame(roots, lastRoots)) {
        version += 1;
        lastRoots = roots;
      }
    } catch {
      // The last roots that could be read stay valid.
    }
    if (lastRoots === undefined) return { version: 0, isExclusive: false };
    const { certificates, isExclusive } = lastRoots;
    const current = { version, isExclusive };
    return version === known ? current : { ...current, certificates: certificates.join("\n") };
  });
}

function isSame(one: Roots, other: Roots | undefined): boolean {
  return (
    one === other ||
    (one.isExclusive === other?.isExclusive &&
      one.certificates.length === other.certificates.length &&
      one.certificates.every((certificate, index) => certificate === other.certificates[index]))
  );
}
