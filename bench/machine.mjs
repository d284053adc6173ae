// What the metrics were taken on.

import { cpus, loadavg, release, totalmem, type } from "node:os";
import { fileURLToPath } from "node:url";
import { output } from "./processes.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The first line that a command prints, or a dash. */
async function line(command, ...options) {
  const printed = await output(command, options, { cwd: root }).catch(() => ({ stdout: "" }));
  return printed.stdout.split("\n")[0] || "–";
}

export async function machine() {
  const changes = await line("git", "status", "--porcelain");
  const commit = await line("git", "rev-parse", "--short", "HEAD");
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: changes === "–" ? commit : `${commit}, with changes`,
    cpu: cpus()[0]?.model.trim() ?? "–",
    cores: cpus().length,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    kernel: `${type()} ${release()}`,
    node: process.version,
    rust: await line("rustc", "--version"),
    load: loadavg()
      .map((load) => load.toFixed(2))
      .join(" "),
  };
}
