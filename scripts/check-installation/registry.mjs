// A registry on loopback with the release's nine packages and without any connection to another registry. It records which
// tarballs are downloaded.

import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { tools } from "./tools.mjs";

/** Starts verdaccio in `directory`; `downloads` is the list of tarballs that were requested. */
export async function startRegistry(directory) {
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
  // It has been downloaded by now.
  const { runServer } = createRequire(join(tools, "package.json"))("verdaccio");
  const server = await runServer(config);
  const downloads = [];
  server.prependListener("request", ({ method, url }) => {
    if (method === "GET" && url.endsWith(".tgz")) downloads.push(decodeURIComponent(url.split("/").at(-1)));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    downloads,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
