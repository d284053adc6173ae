// The machine on which the metrics were measured.

import { cpus, loadavg, release, totalmem, type } from "node:os";
import { fileURLToPath } from "node:url";
import { output } from "./processes.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The first line of a command's output, or a dash. */
async function firstLine(command, ...options) {
  const printed = await output(command, options, { cwd: root }).catch(() => ({ stdout: "" }));
  return printed.stdout.split("\n")[0] || "–";
}

export async function describeMachine() {
  const changes = await firstLine("git", "status", "--porcelain");
  const commit = await firstLine("git", "rev-parse", "--short", "HEAD");
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: changes === "–" ? commit : `${commit}, with changes`,
    cpu: cpus()[0]?.model.trim() ?? "–",
    cores: cpus().length,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    kernel: `${type()} ${release()}`,
    node: process.version,
    rust: await firstLine("rustc", "--version"),
    load: loadavg()
      .map((load) => load.toFixed(2))
      .join(" "),
  };
}
