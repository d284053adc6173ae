// From the values of a run to figures: medians, spreads, ratios, and whether each goal is met.

import { figures } from "./figures.mjs";
import { summary } from "./statistics.mjs";

/** `measured` has, by measurement and subject, the values of each run, or why there are none. */
export function evaluate(measured) {
  const evaluated = new Map();
  for (const figure of figures) {
    const [measurement, key] = figure.of;
    const subjects = Object.entries(measured[measurement] ?? {})
      .filter(([, runs]) => typeof runs === "string" || runs[0][key] !== undefined)
      .map(([subject, runs]) => [
        subject,
        typeof runs === "string" ? { notRun: runs } : summaryOf(runs, key, figure.unit),
      ]);
    if (subjects.length > 0) evaluated.set(figure.id, { ...figure, subjects: Object.fromEntries(subjects) });
  }
  for (const figure of evaluated.values()) {
    figure.ratio = ratio(figure.subjects.native, figure.subjects.msal);
    figure.judged = (figure.goals ?? []).flatMap((goal) => judge(goal, figure, evaluated));
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
function judge(goal, figure, evaluated) {
  const ours = figure.subjects.native;
  if (ours?.median === undefined) return [];
  if (goal.subject === undefined) {
    return [{ words: `≤ ${goal.limit}`, met: ours.median <= goal.limit, at: ours.median }];
  }
  const other = evaluated.get(goal.figure ?? figure.id)?.subjects[goal.subject];
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
