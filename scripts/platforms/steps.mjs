// The steps that run programs of a platform: the Rust tests, the main job, and the installation by name; specs.mjs has the
// specs. Each returns the text of its cell in the table, or throws a `StepError`.

import { compileTests } from "./compile.mjs";
import { prepareInstallation } from "./installation.mjs";
import { copyRepository } from "./package.mjs";
import { root, StepError } from "./process.mjs";

/** Ten times as long as an emulated processor needs: a test that does not end by then never does. */
const RUST_TESTS_TIMEOUT_MS = 30 * 60_000;

export function runRustTests(platform) {
  const program = compileTests(platform);
  const { status, text, isTimedOut } = platform.runner.run(platform, program, [], {
    ...{ cwd: root, mayFail: true, timeout: RUST_TESTS_TIMEOUT_MS },
  });
  if (isTimedOut) {
    throw new StepError(`not ended after ${RUST_TESTS_TIMEOUT_MS / 60_000} minutes: ${findRunning(text)}`);
  }
  const [, passed, failed] = /^test result: \w+\. (\d+) passed; (\d+) failed/m.exec(text) ?? [];
  if (status !== 0) {
    const names = [...text.matchAll(/^test (\S+) \.\.\. FAILED/gm)].map(([, name]) => name);
    throw new StepError(`${failed ?? "all"} failed, ${passed ?? 0} passed: ${names.join(", ") || status}`);
  }
  return `${passed} passed`;
}

/** The names of the tests that were reported as slow and have no result. */
function findRunning(text) {
  const slow = [...text.matchAll(/^test (\S+) has been running for over/gm)].map(([, name]) => name);
  return slow.filter((name) => !text.includes(`test ${name} ... `)).join(", ");
}

export function runMainJob(platform) {
  const { version } = platform.runner.prepare(platform);
  const cwd = copyRepository(platform);
  platform.runner.run(platform, "node", ["examples/main-job.js"], { cwd });
  return `Node.js ${version.slice(1)}`;
}

/** Installs the packed packages by name, with each package manager and version of Node.js that the platform has. */
export function checkInstallation(platform) {
  const cwd = copyRepository(platform);
  const env = prepareInstallation(platform, cwd);
  const { status, text } = platform.runner.run(platform, "node", ["scripts/check-installation/main.mjs"], {
    ...{ cwd, env, mayFail: true },
  });
  const count = (result) => [...text.matchAll(new RegExp(`^${result}`, "gm"))].length;
  if (status !== 0) throw new StepError(`${count("FAILED")} failed, ${count("ok  ")} passed`);
  return `${count("ok  ")} passed`;
}
