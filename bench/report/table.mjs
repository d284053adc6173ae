// The metrics as a Markdown table, and its notes.

import { fraction, number } from "./numbers.mjs";

const COLUMNS = ["native", "msal", "identity"];
/** The metrics that README shows, by their ids. */
const HEADLINES = ["cached-1", "require-token", "uncached-small", "callers", "installed"];

export function table(metrics, settings, versions) {
  const header = [
    "",
    "managed-identity-native",
    `@azure/msal-node ${versions.msal}`,
    `@azure/identity ${versions.identity}`,
    "to msal-node",
    "goal",
  ];
  const lines = [row(header), row(["---", "---:", "---:", "---:", "---:", "---"])];
  for (const metric of metrics) {
    if (metric.group !== undefined) lines.push(row([`**${metric.group}**`, "", "", "", "", ""]));
    lines.push(
      row([
        titleOf(metric, settings),
        ...cells(metric),
        metric.ratio === undefined ? "" : fraction(metric.ratio),
        metric.judged.map(goal).join("<br>"),
      ]),
    );
  }
  return lines.join("\n");
}

/** The headline metrics, without goals. */
export function headlines(metrics, settings, versions) {
  const header = [
    "",
    "managed-identity-native",
    `@azure/msal-node ${versions.msal}`,
    `@azure/identity ${versions.identity}`,
  ];
  const selected = metrics.filter(({ id }) => HEADLINES.includes(id));
  return [
    row(header),
    row(["---", "---:", "---:", "---:"]),
    ...selected.map((metric) => row([metric.chart ?? titleOf(metric, settings), ...cells(metric)])),
  ].join("\n");
}

/** The title of a metric, with the placeholders filled in. */
export function titleOf({ title, contenders, unit }, { acquisitions, growth }) {
  const filled = {
    acquisitions: number(acquisitions),
    node: contenders.node?.median === undefined ? "–" : `${number(contenders.node.median)} ${unit.name}`,
    growthOfMsal: `${number(growth.msal.refreshes)} after ${number(growth.msal.settling)}`,
  };
  return title.replace(/\{(\w+)\}/g, (_, name) => filled[name]);
}

function cells(metric) {
  const { node } = metric.contenders;
  // Baselines without a package, such as a bare await, are shown in our column.
  const own = metric.contenders.native ?? node;
  return COLUMNS.map((column) => cell(column === "native" ? own : metric.contenders[column], metric.unit));
}

function cell(found, unit) {
  if (found === undefined) return "";
  if (found.notRun !== undefined) return "not run";
  const { median, low, high, runs } = found;
  const spread = runs > 1 && low !== high ? ` (${number(low)}–${number(high)})` : "";
  return `${number(median)}${unit.name === "" ? "" : ` ${unit.name}`}${spread}`;
}

function goal({ label, met, at, relative }) {
  if (met) return `${label} ✓`;
  return `${label} ✗ (${relative ? fraction(at) : number(at)})`;
}

function row(cells) {
  return `| ${cells.join(" | ")} |`;
}

/** The measurements that were not run, with the reasons. */
export function notes(metrics, settings) {
  const reasons = new Map();
  for (const metric of metrics) {
    for (const [contender, { notRun }] of Object.entries(metric.contenders)) {
      if (notRun === undefined) continue;
      const key = `${contender === "native" ? "managed-identity-native" : contender}: ${notRun}`;
      reasons.set(key, [...(reasons.get(key) ?? []), titleOf(metric, settings)]);
    }
  }
  return [...reasons].map(([reason, titles]) => `* Not run, ${reason} (${titles.join("; ")}).`);
}
