// Abort signals that violate their contract: the call settles, no rejection is unhandled, and the process can exit. The
// tests run in child processes, which an unhandled rejection would end.

import test from "ava";
import { runProcess } from "./support/child-program.mjs";
import { RESOURCE, startEndpoint } from "./support/endpoint.mjs";

/**
 * Makes one call with each of these kinds of signals and reports its result: the token's type, or the error's name and
 * message. The function is sent to a process as source text.
 */
async function program({ native, argument: { resource, kinds, method }, report }) {
  class Signal {
    aborted = false;
    listeners = [];

    addEventListener(_, listener) {
      this.listeners.push(listener);
    }

    removeEventListener(_, listener) {
      this.listeners = this.listeners.filter((other) => other !== listener);
    }

    abort() {
      this.aborted = true;
      this.fire();
    }

    fire() {
      for (const listener of [...this.listeners]) listener.call(this, { type: "abort" });
    }
  }
  const throwing = (message) => () => {
    throw new EvalError(message);
  };
  const getter = (signal, name, get) => Object.defineProperty(signal, name, { get, configurable: true });
  /** Each changes a signal before the call, and may return a function that changes it during the call. */
  const behaviors = {
    "removeEventListener throws": (signal) => {
      signal.removeEventListener = throwing("remove");
    },
    "removeEventListener throws, aborted": (signal) => {
      signal.removeEventListener = throwing("remove");
      return () => signal.abort();
    },
    "removeEventListener calls back": (signal) => {
      signal.removeEventListener = (_, listener) => listener();
    },
    "removeEventListener disappears": (signal) => () => {
      signal.removeEventListener = undefined;
    },
    "addEventListener throws": (signal) => {
      signal.addEventListener = throwing("add");
    },
    "addEventListener calls back, then throws": (signal) => {
      signal.addEventListener = (_, listener) => {
        listener();
        throwing("add")();
      };
    },
    "addEventListener calls back": (signal) => {
      signal.addEventListener = (_, listener) => listener();
    },
    "addEventListener aborts": (signal) => {
      signal.addEventListener = () => {
        signal.aborted = true;
      };
    },
    "calls back twice": (signal) => () => {
      signal.abort();
      signal.fire();
    },
    "calls back without being aborted": (signal) => () => signal.fire(),
    "is aborted and never calls back": (signal) => () => {
      signal.aborted = true;
    },
    "a reason that throws": (signal) => {
      getter(signal, "reason", throwing("reason"));
      return () => signal.abort();
    },
    "a reason that throws, already aborted": (signal) => {
      getter(signal, "reason", throwing("reason"));
      signal.aborted = true;
    },
    "a reason that changes": (signal) => {
      let reads = 0;
      getter(signal, "reason", () => {
        reads += 1;
        return new EvalError(`reason ${reads}`);
      });
      return () => signal.abort();
    },
    "a reason that is a rejected promise": (signal) => {
      signal.reason = Promise.reject(new EvalError("rejected"));
      signal.reason.catch(() => undefined);
      return () => signal.abort();
    },
    "aborted throws immediately": (signal) => {
      getter(signal, "aborted", throwing("aborted"));
    },
    "aborted throws later": (signal) => () => {
      getter(signal, "aborted", throwing("aborted"));
    },
    "aborted throws later, called back": (signal) => () => {
      getter(signal, "aborted", throwing("aborted"));
      signal.fire();
    },
    "aborted becomes a string": (signal) => () => {
      signal.aborted = "no";
    },
  };
  for (const kind of kinds) {
    const app = new native.ManagedIdentityApplication();
    const signal = new Signal();
    const continueDuringCall = behaviors[kind](signal);
    const call =
      method === "getToken"
        ? app.getToken(resource, { abortSignal: signal })
        : app.acquireToken({ resource, forceRefresh: true, abortSignal: signal });
    const outcome = call.then(
      (result) => (typeof (result.accessToken ?? result.token) === "string" ? "a token" : "no token"),
      (error) => (error instanceof Promise ? "a promise" : `${error?.name}: ${error?.message}`),
    );
    continueDuringCall?.();
    report([kind, await outcome]);
    native.ManagedIdentityApplication.clearCache();
  }
}

const ABORTED = "AbortError: The acquisition of a token was aborted.";
const OUTCOMES = {
  "removeEventListener throws": "a token",
  "removeEventListener throws, aborted": ABORTED,
  "removeEventListener calls back": "a token",
  "removeEventListener disappears": "a token",
  "addEventListener throws": "EvalError: add",
  "addEventListener calls back, then throws": ABORTED,
  "addEventListener calls back": ABORTED,
  "addEventListener aborts": ABORTED,
  "calls back twice": ABORTED,
  "calls back without being aborted": ABORTED,
  "is aborted and never calls back": ABORTED,
  "a reason that throws": ABORTED,
  "a reason that throws, already aborted": ABORTED,
  "a reason that changes": "EvalError: reason 1",
  "a reason that is a rejected promise": "a promise",
  "aborted throws immediately": "EvalError: aborted",
  "aborted throws later": "a token",
  "aborted throws later, called back": ABORTED,
  "aborted becomes a string": "a token",
};
/** The kinds whose calls end although the endpoint never responds. */
const ENDING_EARLY = Object.keys(OUTCOMES).filter(
  (kind) => OUTCOMES[kind] !== "a token" && kind !== "is aborted and never calls back",
);

for (const method of ["acquireToken", "getToken"]) {
  test(`${method}: calls with hostile signals settle, and the process continues`, async (t) => {
    const endpoint = await startEndpoint(t);
    const kinds = Object.keys(OUTCOMES);
    const argument = { resource: RESOURCE, kinds, method };
    const reports = await runProcess(t, program, { argument, env: endpoint.env });
    t.deepEqual(Object.fromEntries(reports), OUTCOMES);
  });

  test(`${method}: calls that a hostile signal ends early do not keep the process alive`, async (t) => {
    const endpoint = await startEndpoint(t);
    endpoint.hold();
    const argument = { resource: RESOURCE, kinds: ENDING_EARLY, method };
    const reports = await runProcess(t, program, { argument, env: endpoint.env });
    t.deepEqual(
      Object.fromEntries(reports),
      Object.fromEntries(ENDING_EARLY.map((kind) => [kind, OUTCOMES[kind]])),
    );
  });
}

test("a signal that never removes listeners gets a single listener, which does not keep results alive", async (t) => {
  const endpoint = await startEndpoint(t);
  const reports = await runProcess(
    t,
    async ({ native, argument, report }) => {
      const listeners = new Set();
      const signal = {
        aborted: false,
        addEventListener: (_, listener) => listeners.add(listener),
        removeEventListener() {
          throw new EvalError("remove");
        },
      };
      const app = new native.ManagedIdentityApplication();
      const collected = [];
      const registry = new FinalizationRegistry((index) => collected.push(index));
      const acquire = async (index) => {
        const result = await app.acquireToken({
          resource: argument,
          forceRefresh: true,
          abortSignal: signal,
        });
        registry.register(result, index);
      };
      for (let index = 0; index < 20; index += 1) await acquire(index);
      for (let round = 0; round < 50 && collected.length < 20; round += 1) {
        globalThis.gc();
        await new Promise((resolve) => setImmediate(resolve));
      }
      report([listeners.size, collected.length]);
    },
    { argument: RESOURCE, env: endpoint.env, flags: ["--expose-gc"] },
  );
  t.deepEqual(reports, [[1, 20]]);
});

test("a signal that failed once can be used again", async (t) => {
  const endpoint = await startEndpoint(t);
  const reports = await runProcess(
    t,
    async ({ native, argument, report }) => {
      const target = new EventTarget();
      const signal = {
        aborted: false,
        addEventListener() {
          throw new EvalError("add");
        },
        removeEventListener: (...parameters) => target.removeEventListener(...parameters),
      };
      const acquire = () => {
        const app = new native.ManagedIdentityApplication();
        const request = { resource: argument, forceRefresh: true, abortSignal: signal };
        return app.acquireToken(request).then(
          () => "a token",
          ({ name }) => name,
        );
      };
      report(await acquire());
      signal.addEventListener = (...parameters) => target.addEventListener(...parameters);
      report(await acquire());
      const [one, other] = [acquire(), acquire()];
      target.dispatchEvent(new Event("abort"));
      report([await one, await other]);
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  t.deepEqual(reports, ["EvalError", "a token", ["AbortError", "AbortError"]]);
});
