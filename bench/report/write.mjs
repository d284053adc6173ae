// Writes the results of a run: raw values, the table, the chart and the machine. Also writes the table into
// docs/benchmarks.md and the headline metrics into README.md, between their markers.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { chart } from "./chart.mjs";
import { headlines, notes, table } from "./table.mjs";

const START = "<!-- bench:start -->";
const END = "<!-- bench:end -->";
const root = fileURLToPath(new URL("../..", import.meta.url));
/** The files that show results, and which part of `pages` each shows. */
const PARTS_BY_FILE = { "README.md": "headlines", "docs/benchmarks.md": "excerpt" };

/** The results page, its table for docs/benchmarks.md and its headlines for README. */
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
    headlines: [headlines(metrics, settings, versions), `${legend} ${where}`].join("\n\n"),
  };
}

export function write(results, directory) {
  const { page } = pages(results);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "results.json"), `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(join(directory, "results.md"), `${page}\n`);
  writeFileSync(join(directory, "chart.svg"), chart(results.metrics, results.machine));
}

/** Replaces the text between the markers of each file that shows results. Returns the files without markers. */
export function embed(results) {
  const written = pages(results);
  return Object.entries(PARTS_BY_FILE)
    .filter(([name, part]) => !replace(join(root, name), written[part]))
    .map(([name]) => name);
}

function replace(file, content) {
  const text = readFileSync(file, "utf8");
  const [from, to] = [text.indexOf(START), text.indexOf(END)];
  if (from < 0 || to < from) return false;
  const path = relative(dirname(file), join(root, "bench/results/chart.svg")).replaceAll(sep, "/");
  const picture = `![Bar chart of the headline metrics](${path})`;
  writeFileSync(
    file,
    `${text.slice(0, from + START.length)}\n\n${picture}\n\n${content}\n\n${text.slice(to)}`,
  );
  return true;
}
