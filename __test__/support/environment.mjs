// The environment of a test: nothing that leads to a source but what the test names. Importing this file
// cleans process.env, so that no host on which the tests run, and no test, is ever asked for a real token.

import { createRequire } from "node:module";

const { environmentVariables } = createRequire(import.meta.url)("./binding.cjs");

// Without it, a test that names no endpoint would fall through to the real 169.254.169.254.
const NOWHERE = { AZURE_POD_IDENTITY_AUTHORITY_HOST: "http://127.0.0.1:1" };

const names = environmentVariables();
assign({});

/**
 * Calls `call` with these variables and puts process.env back before anybody else runs. An acquisition
 * reads the environment before its first `await`, so this is enough for a promise, too.
 */
export function within(env, call) {
  const before = Object.fromEntries(names.map((name) => [name, process.env[name]]));
  assign(env);
  try {
    return call();
  } finally {
    assign(before);
  }
}

/** The whole environment of a process or thread of its own. */
export function environmentWith(env = {}) {
  return { ...process.env, ...env };
}

function assign(env) {
  const complete = { ...NOWHERE, ...env };
  for (const name of new Set([...names, ...Object.keys(complete)])) {
    if (complete[name] === undefined) delete process.env[name];
    else process.env[name] = complete[name];
  }
}
