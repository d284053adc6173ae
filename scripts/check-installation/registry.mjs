// A registry on loopback with the release's nine packages and without any connection to another registry. It records which
// tarballs are downloaded.

import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { scripts } from "./tools.mjs";

/** Starts verdaccio in `directory`; `url` is that of a proxy before it, and `downloads` its list of tarballs. */
export async function startRegistry(directory) {
  const port = await freePort();
  const config = join(directory, "config.yaml");
  mkdirSync(directory, { recursive: true });
  writeFileSync(
    config,
    [
      `storage: ${join(directory, "storage")}`,
      `auth: { htpasswd: { file: ${join(directory, "htpasswd")} } }`,
      "uplinks: {}",
      "packages: { '**': { access: $all, publish: $all, unpublish: $all } }",
      "log: { type: stdout, format: json, level: fatal }",
      "max_body_size: 100mb",
    ].join("\n"),
  );
  const child = fork(scripts.verdaccio, ["--config", config, "--listen", `127.0.0.1:${port}`], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  // Verdaccio's message that it listens.
  await once(child, "message");
  const downloads = [];
  const proxy = http.createServer((request, response) => {
    const { method, url, headers } = request;
    if (method === "GET" && url.endsWith(".tgz")) downloads.push(decodeURIComponent(url.split("/").at(-1)));
    // The `host` header stays, so that the registry names the proxy in the addresses of tarballs.
    const forwarded = http.request({ host: "127.0.0.1", port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    forwarded.on("error", () => response.destroy());
    request.pipe(forwarded);
  });
  await once(proxy.listen(0, "127.0.0.1"), "listening");
  return {
    url: `http://127.0.0.1:${proxy.address().port}/`,
    downloads,
    async close() {
      proxy.close();
      proxy.closeAllConnections();
      child.kill();
      await once(child, "exit");
    },
  };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
