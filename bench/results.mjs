// From the values of a run to metrics: medians, spreads, ratios, and whether each goal is met.

import { metrics } from "./metrics.mjs";
import { summary } from "./statistics.mjs";

/** `measured` has, by measurement and contender, the values of each run, or why there are none. */
export function evaluate(measured) {
  const evaluated = new Map();
  for (const metric of metrics) {
    const [measurement, key] = metric.of;
    const contenders = Object.entries(measured[measurement] ?? {})
      .filter(([, runs]) => typeof runs === "string" || runs[0][key] !== undefined)
      .map(([contender, runs]) => [
        contender,
        typeof runs === "string" ? { notRun: runs } : summaryOf(runs, key, metric.unit),
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

function summaryOf(runs, key, unit) {
  const values = runs.map((run) => run[key]).filter((value) => Number.isFinite(value));
  if (values.length === 0) return { notRun: "not to be had on this platform" };
  return summary(values.map((value) => value * unit.factor));
}

function ratio(ours, theirs) {
  return ours?.median > 0 && theirs?.median > 0 ? ours.median / theirs.median : undefined;
}

/** A goal whose other side was not measured cannot be judged. */
function judge(goal, metric, evaluated) {
  const ours = metric.contenders.native;
  if (ours?.median === undefined) return [];
  if (goal.contender === undefined) {
    return [{ words: `≤ ${goal.limit}`, met: ours.median <= goal.limit, at: ours.median }];
  }
  const other = evaluated.get(goal.metric ?? metric.id)?.contenders[goal.contender];
  const at = ratio(ours, other);
  if (at === undefined) return [];
  const limit = goal.limit < 1 ? `1/${(1 / goal.limit).toLocaleString("en-GB")}` : `${goal.limit} ×`;
  const of = goal.words ?? "msal-node";
  return [
    {
      words: `≤ ${limit}${of === "msal-node" ? "" : ` of ${of}`}`,
      met: at <= goal.limit,
      at,
      relative: true,
    },
  ];
}
