// A number of cached calls and nothing else, for callgrind: the difference between two numbers is what calls cost.

import { open, resource } from "./contenders.mjs";

const { contender, calls } = JSON.parse(process.argv[2]);
const { call, request, check } = await open(contender);
const asked = request(resource(0));

check(await call(asked), false);
let result;
for (let made = 0; made < calls; made += 1) result = await call(asked);
check(result, true);

console.log(JSON.stringify({ values: {}, requests: 1 }));
