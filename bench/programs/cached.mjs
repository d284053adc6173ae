// The cached call: acquires a number of tokens, then requests them again one after another.

import { microseconds } from "./clock.mjs";
import { runConcurrently } from "./concurrency.mjs";
import { assertMeasured, open, resource } from "./contenders.mjs";

const { contender, tokens, inTurn, batchMs } = JSON.parse(process.argv[2]);
const { call, request, check, tokenOf } = await open(contender);

const requests = Array.from({ length: tokens }, (_, number) => request(resource(number)));
const fetched = [];
await runConcurrently(tokens, 32, async (index) => {
  const result = await call(requests[index]);
  check(result, false);
  fetched[index] = tokenOf(result);
});

const cycle = inTurn ? tokens : 1;
let index = 0;
const timed = await microseconds(async (count) => {
  let result;
  for (let made = 0; made < count; made += 1) {
    index = index + 1 < cycle ? index + 1 : 0;
    result = await call(requests[index]);
  }
  check(result, true);
  assertMeasured(tokenOf(result) === fetched[index], "the token that was fetched");
}, batchMs);

console.log(JSON.stringify({ values: timed, requests: tokens }));
