// The example with a client of the Azure SDK: it runs unchanged and prints no token.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import test from "ava";
import { environmentWith } from "./support/environment.mjs";

test("examples/first-blob.js uploads and downloads a blob with one token request", async (t) => {
  const example = fileURLToPath(new URL("../examples/first-blob.js", import.meta.url));
  const child = spawn(process.execPath, [example], {
    env: environmentWith(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  t.deepEqual(
    { code, stderr, stdout },
    { code: 0, stderr: "", stdout: "first.txt: Hello\nToken requests: 1\n" },
  );
});
