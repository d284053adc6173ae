// A number of cached calls and nothing else, for callgrind: the difference between two runs is the cost of the calls.

import { open, resource } from "./contenders.mjs";

const { contender, calls } = JSON.parse(process.argv[2]);
const { call, request, check } = await open(contender);
const input = request(resource(0));

check(await call(input), false);
let result;
for (let made = 0; made < calls; made += 1) result = await call(input);
check(result, true);

console.log(JSON.stringify({ values: {}, requests: 1 }));
