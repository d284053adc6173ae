// A fake Azure CLI: a program called az that connects to the test, which receives its arguments, decides when and what it
// prints, and notices when it is killed.

import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

const PORT = "FAKE_AZ_PORT";

const PROGRAM = `#!${process.execPath}
const socket = require("node:net").connect(Number(process.env.${PORT}), "127.0.0.1");
socket.write(JSON.stringify(process.argv.slice(2)) + "\\n");
let input = "";
socket.on("data", (chunk) => { input += chunk; });
socket.on("end", () => {
  const { stdout = "", stderr = "", code = 0 } = JSON.parse(input);
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  process.exitCode = code;
});
`;

/**
 * Creates a fake az for processes with the variables `env`. Each run is an entry of `calls` with `args`,
 * `exit({ stdout, stderr, code })` and `gone`, which settles when the process has ended. `next()` resolves with the
 * next run. After `always(toOutput)` every run exits at once with the result of that function.
 */
export async function startAzureCli(t) {
  const directory = mkdtempSync(join(tmpdir(), "fake-az-"));
  writeFileSync(join(directory, "az"), PROGRAM);
  chmodSync(join(directory, "az"), 0o755);
  // Windows starts scripts of cmd.exe only.
  writeFileSync(join(directory, "az.cmd"), `@"${process.execPath}" "%~dp0az" %*\r\n`);
  const calls = [];
  const waiting = [];
  let toOutput;
  const server = net.createServer({ allowHalfOpen: true }, async (socket) => {
    const gone = once(socket, "close").catch(() => {});
    let line = "";
    for await (const chunk of iterate(socket)) {
      line += chunk;
      if (line.endsWith("\n")) break;
    }
    const call = { args: JSON.parse(line), exit: (output) => socket.end(JSON.stringify(output)), gone };
    socket.on("end", () => socket.destroy()).resume();
    calls.push(call);
    if (toOutput) call.exit(toOutput(call));
    waiting.shift()?.(call);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  let taken = 0;
  return {
    env: { PATH: `${directory}${delimiter}${process.env.PATH}`, [PORT]: String(server.address().port) },
    calls,
    next: () => {
      taken += 1;
      if (calls.length >= taken) return Promise.resolve(calls[taken - 1]);
      return new Promise((resolve) => {
        waiting.push(resolve);
      });
    },
    always: (outputOf) => {
      toOutput = outputOf;
    },
  };
}

/** Iterates over the socket's chunks without closing the socket at the end of the loop. */
function iterate(socket) {
  return socket.iterator({ destroyOnReturn: false });
}

/** Returns az's output for a token. `expiresOn` is in seconds since 1970. */
export function azOutput(accessToken, expiresOn) {
  const stdout = JSON.stringify({
    accessToken,
    expiresOn: "2001-01-01 00:00:00.000000",
    expires_on: expiresOn,
    subscription: "00000000-0000-4000-8000-000000000000",
    tenant: "00000000-0000-4000-8000-000000000001",
    tokenType: "Bearer",
  });
  return { stdout: `${stdout}\n` };
}
