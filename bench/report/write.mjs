// Writes the results of a run: raw values, the table, the chart, the machine; and the table between its markers in
// README.md.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chart } from "./chart.mjs";
import { notes, table } from "./table.mjs";

const START = "<!-- bench:start -->";
const END = "<!-- bench:end -->";

/** The results page, and its short form for README. */
export function pages({ machine, versions, settings, metrics }) {
  const metricsTable = table(metrics, settings, versions);
  const legend =
    "Medians of runs in new processes, alternating with the peers, with quartiles in brackets. " +
    "1 MB is 2²⁰ bytes.";
  const where = `${machine.date}, ${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, Node.js ${machine.node}.`;
  return {
    page: [
      "# Benchmark results",
      `Written by \`npm run bench\`. ${legend}`,
      metricsTable,
      [
        "* `@azure/identity` is measured by `getToken`, since it has no `acquireToken`.",
        "* CPU time is that of all threads of the process; the endpoint is another process on the same machine.",
        "* p99 and maximum of the event-loop delay are those of `perf_hooks.monitorEventLoopDelay`, minus its period of " +
          "1 ms; goals compare the median of the runs' maxima.",
        "* Growth is that of RSS after garbage collection, with V8's young generation fixed at 1 MB.",
        "* The package is installed from its packed tarballs; sizes are the disk usage of an installation.",
        ...notes(metrics, settings),
      ].join("\n"),
      "## Machine",
      Object.entries(machine)
        .map(([name, value]) => `* ${name}: ${value}`)
        .join("\n"),
    ].join("\n\n"),
    excerpt: [metricsTable, `${legend} ${where}`].join("\n\n"),
  };
}

export function write(results, folder) {
  const { page } = pages(results);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "results.json"), `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(join(folder, "results.md"), `${page}\n`);
  writeFileSync(join(folder, "chart.svg"), chart(results.metrics, results.machine));
}

/** Replaces the text between the markers in a file; returns whether the markers exist. */
export function embed(results, file) {
  if (!existsSync(file)) return false;
  const text = readFileSync(file, "utf8");
  const [from, to] = [text.indexOf(START), text.indexOf(END)];
  if (from < 0 || to < from) return false;
  const { excerpt } = pages(results);
  const picture = "![Bar chart of the headline metrics](bench/results/chart.svg)";
  writeFileSync(
    file,
    `${text.slice(0, from + START.length)}\n\n${picture}\n\n${excerpt}\n\n${text.slice(to)}`,
  );
  return true;
}
