// The headline metrics as an SVG bar chart: a group of bars with its own scale for each metric, labelled with the
// values. The background is transparent, and the colours follow the reader's light or dark theme.

import { fraction, number } from "./numbers.mjs";

const WIDTH = 860;
const LABELS = 270;
const BARS = 400;
const BAR = 13;
const STEP = 16;
const GAP = 18;
const TOP = 64;

const SERIES = [
  { contender: "native", name: "managed-identity-native" },
  { contender: "msal", name: "@azure/msal-node" },
  { contender: "identity", name: "@azure/identity" },
];

const STYLE = `
    text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
    .title { font-size: 15px; font-weight: 600; }
    .label { font-weight: 600; }
    .quiet { fill: #59636e; }
    .native { fill: #1a7f37; }
    .msal { fill: #8c959f; }
    .identity { fill: #c3cad1; }
    .axis { stroke: #8c959f; stroke-width: 1; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .quiet { fill: #9198a1; }
      .native { fill: #3fb950; }
      .msal { fill: #7d8590; }
      .identity { fill: #4d555e; }
    }
  `;

export function chart(metrics, { date, cpu, cores, node }) {
  const drawn = metrics.filter(
    (metric) => metric.chart !== undefined && metric.contenders.native?.median > 0,
  );
  const parts = [];
  let y = TOP;
  for (const metric of drawn) {
    const bars = SERIES.filter(({ contender }) => metric.contenders[contender]?.median >= 0);
    const max = Math.max(...bars.map(({ contender }) => metric.contenders[contender].median));
    const middle = y + (bars.length * STEP) / 2;
    parts.push(text(LABELS - 12, middle, metric.chart, 'class="label" text-anchor="end"'));
    if (metric.ratio !== undefined) {
      const comparison = `${fraction(metric.ratio)} of msal-node`;
      parts.push(text(LABELS - 12, middle + 15, comparison, 'class="quiet" text-anchor="end"'));
    }
    const bottom = y + bars.length * STEP;
    parts.push(`<path class="axis" d="M${LABELS} ${y - 3}V${bottom}"/>`);
    for (const { contender } of bars) {
      const { median } = metric.contenders[contender];
      const length = Math.max(1, (median / max) * BARS);
      parts.push(
        `<rect class="${contender}" x="${LABELS}" y="${y}" width="${length.toFixed(1)}" height="${BAR}"/>`,
      );
      const value = `${number(median)} ${metric.unit.name}`;
      parts.push(
        text(LABELS + length + 6, y + BAR - 2.5, value, contender === "native" ? "" : 'class="quiet"'),
      );
      y += STEP;
    }
    y += GAP;
  }
  const height = y + 8;
  const ariaLabel =
    "Bars: medians of managed-identity-native beside those of msal-node and identity; shorter is better";
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${ariaLabel}">
  <style>${STYLE}</style>
  ${text(0, 18, "Shorter is better", 'class="title"')}
  ${text(WIDTH, 18, escapeXml(`${date}, ${cpu}, ${cores} cores, Node.js ${node}; each group has its own scale`), 'class="quiet" text-anchor="end"')}
  ${legend()}
  ${parts.join("\n  ")}
</svg>
`;
}

function legend() {
  return SERIES.map(({ contender, name }, index) => {
    const x = LABELS + index * 190;
    return `<rect class="${contender}" x="${x}" y="32" width="12" height="12"/>${text(x + 18, 42, name, "")}`;
  }).join("\n  ");
}

function text(x, y, content, attributes) {
  return `<text x="${Number(x.toFixed(1))}" y="${y}" ${attributes}>${content}</text>`;
}

function escapeXml(content) {
  return content.replace(/&/g, "&amp;").replace(/</g, "&lt;");
}
