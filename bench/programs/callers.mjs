// Many concurrent callers request one token that is not cached; the endpoint counts their requests.

import { assertMeasured, open, resource } from "./contenders.mjs";

const { contender, callers } = JSON.parse(process.argv[2]);
const { call, request, check, tokenOf } = await open(contender);

const started = process.hrtime.bigint();
const results = await Promise.all(Array.from({ length: callers }, () => call(request(resource(0)))));
const ms = Number(process.hrtime.bigint() - started) / 1e6;
// The first call may have its token before the last call is made, which is then served from the cache.
check(results[0], false);
assertMeasured(
  results.every((result) => tokenOf(result) !== undefined),
  "a token for each",
);
assertMeasured(new Set(results).size === callers, "a result for each");

// The number of requests is the metric, so none is declared.
console.log(JSON.stringify({ values: { ms } }));
