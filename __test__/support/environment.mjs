// The environment of a test, which selects only the source that the test names. Importing this file cleans process.env,
// so that neither the machine that runs the tests nor a test ever requests a real token.

import { createRequire } from "node:module";

const { environmentVariables } = createRequire(import.meta.url)("./binding.cjs");

// Without this variable, a test that names no endpoint would contact 169.254.169.254.
const UNREACHABLE_IMDS = { AZURE_POD_IDENTITY_AUTHORITY_HOST: "http://127.0.0.1:1" };

const names = environmentVariables();
assign({});

/**
 * Runs `call` with these variables and restores process.env before other code runs. An acquisition reads the
 * environment before its first `await`, so this also works for promises.
 */
export function withEnvironment(env, call) {
  const before = Object.fromEntries(names.map((name) => [name, process.env[name]]));
  assign(env);
  try {
    return call();
  } finally {
    assign(before);
  }
}

/** The whole environment for a child process or worker thread. */
export function environmentWith(env = {}) {
  return { ...process.env, ...env };
}

function assign(env) {
  const complete = { ...UNREACHABLE_IMDS, ...env };
  // On Windows https_proxy is another name of HTTPS_PROXY, which deleting it would delete as well.
  for (const name of [...names, ...Object.keys(complete)]) {
    if (complete[name] === undefined) delete process.env[name];
  }
  for (const [name, value] of Object.entries(complete)) {
    if (value !== undefined) process.env[name] = value;
  }
}
