// The table of results: printed at the end of a run, and kept in docs/platforms.md.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, StepError } from "./process.mjs";

const TITLES = {
  ...{ lint: "linted", build: "built", rust: "Rust tests", job: "main job" },
  ...{ specs: "specs", installation: "installed by name" },
};
/** The page with the table. */
export const page = join(root, "docs", "platforms.md");
const [START, END] = ["<!-- table of npm run platforms -->", "<!-- end of the table -->"];

/** Returns the table in Markdown, and below it the commits that were checked. */
export function makeTable(platforms, steps, results, isPossible) {
  const commits = new Set();
  const cell = (platform, step) => {
    if (!isPossible(platform, step)) return "cannot run here";
    const result = results[platform.name]?.[step];
    if (result === undefined) return "not run";
    commits.add(result.commit);
    // Only the first part of a failure: the rest names a file of the machine.
    return result.isOk ? result.detail : `FAILED: ${result.detail.split(":")[0]}`;
  };
  const row = (cells) => `| ${cells.join(" | ")} |`;
  const rows = platforms.map((each) => row([each.name, ...steps.map((step) => cell(each, step))]));
  const titles = ["platform", ...steps.map((step) => TITLES[step])];
  const table = [row(titles), row(titles.map(() => "---")), ...rows].join("\n");
  if (commits.size === 0) return table;
  return [table, `Checked: ${[...commits].join(", ")}.`, ...platforms.flatMap(listSkips(results))].join(
    "\n\n",
  );
}

/** Returns a function that lists, for a platform, how many specs were skipped for which capability. */
function listSkips(results) {
  return ({ name }) => {
    const skips = Object.entries(results[name]?.specs?.skips ?? {});
    if (skips.length === 0) return [];
    skips.sort(([, a], [, b]) => b.count - a.count);
    const lines = skips.map(
      ([capability, { count, reason }]) => `* ${count} without ${capability}: ${reason}`,
    );
    return [`Specs skipped on ${name}:`, lines.join("\n")];
  };
}

/** Replaces the table in docs/platforms.md. */
export function writeTable(table) {
  const text = readFileSync(page, "utf8");
  const [start, end] = [text.indexOf(START), text.indexOf(END)];
  if (start < 0 || end < start) throw new StepError(`${page} has no place for the table`);
  writeFileSync(page, `${text.slice(0, start + START.length)}\n\n${table}\n\n${text.slice(end)}`);
}
