// Writes a run's results: raw values, the table, the chart, the machine; and the table into README.md, between its
// markers, where they are.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chart } from "./chart.mjs";
import { notes, table } from "./table.mjs";

const START = "<!-- bench:start -->";
const END = "<!-- bench:end -->";

/** The page of results, and its short form for README. */
export function pages({ machine, versions, settings, metrics }) {
  const shown = table(metrics, settings, versions);
  const reading =
    "Medians, with the quartiles in brackets, of runs in fresh processes that took turns with the peers'; " +
    "MB are 2²⁰ bytes.";
  const where = `${machine.date}, ${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, Node.js ${machine.node}.`;
  return {
    page: [
      "# Measured",
      `Written by \`npm run bench\`. ${reading}`,
      shown,
      [
        "* `@azure/identity` is asked by `getToken`; it has no `acquireToken`.",
        "* CPU is that of the process with all its threads; the endpoint is another process on the same machine.",
        "* p99 and maximum of the event loop's delay are those of `perf_hooks.monitorEventLoopDelay`, its period of " +
          "1 ms taken off; a goal is judged by the median of the runs' maxima.",
        "* Growth is that of RSS after garbage collection, with V8's nursery held at 1 MB.",
        "* The package is installed from its packed tarballs; sizes are the disk space of an installation.",
        ...notes(metrics, settings),
      ].join("\n"),
      "## Machine",
      Object.entries(machine)
        .map(([name, value]) => `* ${name}: ${value}`)
        .join("\n"),
    ].join("\n\n"),
    excerpt: [shown, `${reading} ${where}`].join("\n\n"),
  };
}

export function write(results, folder) {
  const { page } = pages(results);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "results.json"), `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(join(folder, "results.md"), `${page}\n`);
  writeFileSync(join(folder, "chart.svg"), chart(results.metrics, results.machine));
}

/** Replaces what stands between the markers in a file; says whether there were any. */
export function embed(results, file) {
  if (!existsSync(file)) return false;
  const text = readFileSync(file, "utf8");
  const [from, to] = [text.indexOf(START), text.indexOf(END)];
  if (from < 0 || to < from) return false;
  const { excerpt } = pages(results);
  const picture = "![The headline metrics as bars](bench/results/chart.svg)";
  writeFileSync(
    file,
    `${text.slice(0, from + START.length)}\n\n${picture}\n\n${excerpt}\n\n${text.slice(to)}`,
  );
  return true;
}
