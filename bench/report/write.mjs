// Writes a run's results: raw values, the table, the chart and the machine. Also writes the table into docs/benchmarks.md
// and the headline metrics into README.md, between their markers.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { chart } from "./chart.mjs";
import { headlines, notes, table } from "./table.mjs";

const START = "<!-- bench:start -->";
const END = "<!-- bench:end -->";
const root = fileURLToPath(new URL("../..", import.meta.url));
/** The files that show results, and which part of `pages` each shows. */
const SHOWN_IN = { "README.md": "headlines", "docs/benchmarks.md": "excerpt" };

/** The page of results, its table for docs/benchmarks.md and its headlines for README. */
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
    headlines: [headlines(metrics, settings, versions), `${reading} ${where}`].join("\n\n"),
  };
}

export function write(results, folder) {
  const { page } = pages(results);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "results.json"), `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(join(folder, "results.md"), `${page}\n`);
  writeFileSync(join(folder, "chart.svg"), chart(results.metrics, results.machine));
}

/** Replaces the text between the markers of each file that shows results. Returns the files without markers. */
export function embed(results) {
  const written = pages(results);
  return Object.entries(SHOWN_IN)
    .filter(([name, part]) => !replace(join(root, name), written[part]))
    .map(([name]) => name);
}

function replace(file, shown) {
  const text = readFileSync(file, "utf8");
  const [from, to] = [text.indexOf(START), text.indexOf(END)];
  if (from < 0 || to < from) return false;
  const path = relative(dirname(file), join(root, "bench/results/chart.svg")).replaceAll(sep, "/");
  const picture = `![The headline metrics as bars](${path})`;
  writeFileSync(file, `${text.slice(0, from + START.length)}\n\n${picture}\n\n${shown}\n\n${text.slice(to)}`);
  return true;
}
