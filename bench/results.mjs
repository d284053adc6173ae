// Evaluates the values of a run: medians, spreads, ratios, and whether each goal is met.

import { metrics } from "./metrics.mjs";
import { summarize } from "./statistics.mjs";

/**
 * `measured` has the values of each run by measurement and contender, or a string with the reason why there are none.
 */
export function evaluate(measured) {
  const evaluated = new Map();
  for (const metric of metrics) {
    const [measurement, key] = metric.of;
    const contenders = Object.entries(measured[measurement] ?? {})
      .filter(([, runs]) => typeof runs === "string" || runs[0][key] !== undefined)
      .map(([contender, runs]) => [
        contender,
        typeof runs === "string" ? { notRun: runs } : summarizeRuns(runs, key, metric.unit),
      ]);
    if (contenders.length > 0)
      evaluated.set(metric.id, { ...metric, contenders: Object.fromEntries(contenders) });
  }
  for (const metric of evaluated.values()) {
    metric.ratio = ratio(metric.contenders.native, metric.contenders.msal);
    metric.judged = (metric.goals ?? []).flatMap((goal) => judge(goal, metric, evaluated));
  }
  return [...evaluated.values()];
}

function summarizeRuns(runs, key, unit) {
  const values = runs.map((run) => run[key]).filter((value) => Number.isFinite(value));
  if (values.length === 0) return { notRun: "not available on this platform" };
  return summarize(values.map((value) => value * unit.factor));
}

function ratio(ours, theirs) {
  return ours?.median > 0 && theirs?.median > 0 ? ours.median / theirs.median : undefined;
}

/** Returns nothing if the other side of the goal was not measured. */
function judge(goal, metric, evaluated) {
  const ours = metric.contenders.native;
  if (ours?.median === undefined) return [];
  if (goal.contender === undefined) {
    return [{ label: `≤ ${goal.limit}`, met: ours.median <= goal.limit, at: ours.median }];
  }
  const other = evaluated.get(goal.metric ?? metric.id)?.contenders[goal.contender];
  const at = ratio(ours, other);
  if (at === undefined) return [];
  const limit = goal.limit < 1 ? `1/${(1 / goal.limit).toLocaleString("en-GB")}` : `${goal.limit} ×`;
  const of = goal.label ?? "msal-node";
  return [
    {
      label: `≤ ${limit}${of === "msal-node" ? "" : ` of ${of}`}`,
      met: at <= goal.limit,
      at,
      relative: true,
    },
  ];
}
