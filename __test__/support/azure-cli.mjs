// An Azure CLI of the test's own: a program called az that asks the test what to print. The test sees its
// arguments, holds it for as long as it likes, and sees when it is killed.

import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

const PORT = "FAKE_AZ_PORT";

const PROGRAM = `#!${process.execPath}
const socket = require("node:net").connect(Number(process.env.${PORT}), "127.0.0.1");
socket.write(JSON.stringify(process.argv.slice(2)) + "\\n");
let answer = "";
socket.on("data", (chunk) => { answer += chunk; });
socket.on("end", () => {
  const { stdout = "", stderr = "", code = 0 } = JSON.parse(answer);
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  process.exitCode = code;
});
`;

/**
 * A fake az for processes with the variables `env`. Each run of it becomes a call in `calls`, with `args`,
 * `answer({ stdout, stderr, code })` and `gone`, which settles when that az is no more; `next()` resolves with the
 * next. After `always(answer)` all are answered at once by what that function returns.
 */
export async function startAzureCli(t) {
  const folder = mkdtempSync(join(tmpdir(), "fake-az-"));
  writeFileSync(join(folder, "az"), PROGRAM);
  chmodSync(join(folder, "az"), 0o755);
  const calls = [];
  const waiting = [];
  let standing;
  const server = net.createServer({ allowHalfOpen: true }, async (socket) => {
    const gone = once(socket, "close").catch(() => {});
    let asked = "";
    for await (const chunk of iterate(socket)) {
      asked += chunk;
      if (asked.endsWith("\n")) break;
    }
    const call = { args: JSON.parse(asked), answer: (given) => socket.end(JSON.stringify(given)), gone };
    socket.on("end", () => socket.destroy()).resume();
    calls.push(call);
    if (standing) call.answer(standing(call));
    waiting.shift()?.(call);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  let taken = 0;
  return {
    env: { PATH: `${folder}${delimiter}${process.env.PATH}`, [PORT]: String(server.address().port) },
    calls,
    next: () => {
      taken += 1;
      if (calls.length >= taken) return Promise.resolve(calls[taken - 1]);
      return new Promise((resolve) => {
        waiting.push(resolve);
      });
    },
    always: (answer) => {
      standing = answer;
    },
  };
}

/** The socket's chunks, without ending it when the loop does. */
function iterate(socket) {
  return socket.iterator({ destroyOnReturn: false });
}

/** What az prints for a token that expires at an instant in seconds since 1970. */
export function printed(accessToken, expiresOn) {
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
