// The example that converts the channels to spans and metrics, with the real @opentelemetry packages.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { environmentWith } from "./support/environment.mjs";

test("examples/opentelemetry: every call, request and retry is a span and is counted", async (t) => {
  const program = fileURLToPath(new URL("../examples/opentelemetry/run.mjs", import.meta.url));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program], {
    env: environmentWith(),
  });
  t.is(stderr, "");
  const lines = stdout.trim().split("\n");
  const spans = lines.filter((line) => /^(ok|failed) /.test(line));
  const spansNamed = (name) => spans.filter((line) => line.includes(` ${name} {`));
  t.is(spansNamed("acquire token").length, 3);
  t.is(spansNamed("managed identity request").length, 3);
  t.is(spansNamed("managed identity retry").length, 1);
  t.deepEqual(
    spansNamed("acquire token").map((line) => [line.split(" ")[0], /token_source":"(\w+)"/.exec(line)[1]]),
    [
      ["ok", "IdentityProvider"],
      ["ok", "Cache"],
      ["failed", "None"],
    ],
  );
  for (const outcome of ["503", "200", "400"]) {
    t.true(lines.includes(`managed_identity.requests {"outcome":"${outcome}"} 1`), stdout);
  }
  t.false(stdout.includes("eyJ"), "a token");
});
