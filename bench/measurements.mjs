// The measurements: each is a program with its plan for every contender and the kind of its number of runs. The
// contenders take turns, each run in a new process.

const FIRST_TOKEN = "https://vault.example.net";
const START = {
  native: {
    name: "managed-identity-native",
    className: "ManagedIdentityApplication",
    method: "acquireToken",
  },
  msal: { name: "@azure/msal-node", className: "ManagedIdentityApplication", method: "acquireToken" },
  identity: { name: "@azure/identity", className: "ManagedIdentityCredential", method: "getToken" },
};

const NO_FORCE_REFRESH = "getToken has no way to skip the cache";
const SLOW_TO_FILL = "acquisitions slow down as the cache grows, so that filling it would take minutes";

/** The program's plan for each contender, or a string with the reason why there is none. */
function planCachedCalls(tokens, inTurn, contenders) {
  return (settings) => plans(contenders, { tokens, inTurn, batchMs: settings.batchMs });
}

function plans(contenders, plan) {
  return Object.fromEntries(
    Object.entries(contenders).map(([column, contender]) => [
      column,
      contender.startsWith("not run: ") ? contender.slice(9) : { ...plan, contender },
    ]),
  );
}

const ALL = { native: "native", msal: "msal", identity: "identity" };
const WITH_FORCE_REFRESH = { native: "native", msal: "msal", identity: `not run: ${NO_FORCE_REFRESH}` };
const NATIVE_ONLY = {
  native: "native",
  msal: `not run: ${SLOW_TO_FILL}`,
  identity: `not run: ${SLOW_TO_FILL}`,
};

function coldStart(program) {
  return {
    program,
    runs: "start",
    plans: () => ({
      native: { ...START.native, request: FIRST_TOKEN },
      msal: { ...START.msal, request: { resource: FIRST_TOKEN } },
      identity: { ...START.identity, request: `${FIRST_TOKEN}/.default` },
      node: {},
    }),
    programs: { node: "nothing.mjs" },
  };
}

function loop(load, probe, contenders, { warm }) {
  return {
    program: "loop.mjs",
    runs: "loop",
    plans: ({ callers, acquisitions, warmUps }) =>
      plans(contenders, {
        load,
        probe,
        count: load === "callers" ? callers : acquisitions,
        warmUps: warm ? warmUps[load] : 0,
      }),
  };
}

export const measurements = {
  "baseline-bare": {
    program: "baseline.mjs",
    runs: "call",
    plans: ({ batchMs }) => ({ node: { baseline: "bare", batchMs } }),
  },
  "baseline-fields": {
    program: "baseline.mjs",
    runs: "call",
    plans: ({ batchMs }) => ({ node: { baseline: "fields", batchMs } }),
  },
  "cached-1": { program: "cached.mjs", runs: "call", plans: planCachedCalls(1, false, ALL) },
  "cached-getToken": {
    program: "cached.mjs",
    runs: "call",
    plans: ({ batchMs, hasGetToken }) =>
      plans(
        {
          native: hasGetToken ? "native-getToken" : "not run: this version has no getToken",
          identity: "identity",
        },
        { tokens: 1, inTurn: false, batchMs },
      ),
  },
  "cached-1-object": {
    program: "cached.mjs",
    runs: "call",
    plans: planCachedCalls(1, false, { native: "native-object" }),
  },
  "cached-500": { program: "cached.mjs", runs: "call", plans: planCachedCalls(500, true, ALL) },
  "cached-10000": { program: "cached.mjs", runs: "call", plans: planCachedCalls(10_000, false, NATIVE_ONLY) },
  "cached-10000-in-turn": {
    program: "cached.mjs",
    runs: "call",
    plans: planCachedCalls(10_000, true, NATIVE_ONLY),
  },
  "cached-threads": {
    program: "threads.mjs",
    runs: "call",
    plans: ({ threadsMs }) => ({
      native: { contender: "native", threads: 4, forMs: threadsMs, sharesCache: true },
      msal: { contender: "msal", threads: 4, forMs: threadsMs, sharesCache: false },
      identity: { contender: "identity", threads: 4, forMs: threadsMs, sharesCache: false },
    }),
  },
  "start-require": coldStart("start.cjs"),
  "start-import": coldStart("start.mjs"),
  "uncached-small": {
    program: "uncached.mjs",
    runs: "uncached",
    plans: ({ acquisitions }) => plans(WITH_FORCE_REFRESH, { cache: "small", acquisitions }),
  },
  "uncached-growing": {
    program: "uncached.mjs",
    runs: "long",
    plans: ({ acquisitions }) => plans(ALL, { cache: "growing", acquisitions }),
  },
  callers: {
    program: "callers.mjs",
    runs: "loop",
    plans: () => plans(ALL, { callers: 1_000 }),
  },
  "loop-callers": loop("callers", "histogram", ALL, { warm: true }),
  "loop-callers-gaps": loop("callers", "gaps", ALL, { warm: true }),
  "loop-callers-first": loop("callers", "histogram", ALL, { warm: false }),
  "loop-callers-first-gaps": loop("callers", "gaps", ALL, { warm: false }),
  "loop-acquisitions": loop("acquisitions", "histogram", WITH_FORCE_REFRESH, { warm: true }),
  "loop-acquisitions-gaps": loop("acquisitions", "gaps", WITH_FORCE_REFRESH, { warm: true }),
  "loop-acquisitions-first": loop("acquisitions", "histogram", WITH_FORCE_REFRESH, { warm: false }),
  "loop-acquisitions-first-gaps": loop("acquisitions", "gaps", WITH_FORCE_REFRESH, { warm: false }),
  growth: {
    program: "growth.mjs",
    runs: "long",
    // V8's young generation grows in steps of megabytes. With a fixed size it does not affect the result.
    flags: ["--expose-gc", "--min-semi-space-size=1", "--max-semi-space-size=1"],
    plans: ({ growth }) => ({
      native: { contender: "native", ...growth.native },
      msal: { contender: "msal", ...growth.msal },
      identity: NO_FORCE_REFRESH,
    }),
  },
};

/** The number of runs and calls. */
export const SETTINGS = {
  full: {
    runs: { start: 25, call: 11, uncached: 11, loop: 9, long: 3 },
    batchMs: 20,
    threadsMs: 1_000,
    callers: 2_000,
    acquisitions: 2_000,
    warmUps: { callers: 8, acquisitions: 3 },
    growth: {
      native: { settling: 30_000, refreshes: 20_000 },
      msal: { settling: 2_000, refreshes: 20_000 },
    },
  },
  quick: {
    runs: { start: 5, call: 3, uncached: 3, loop: 3, long: 1 },
    batchMs: 5,
    threadsMs: 300,
    callers: 2_000,
    acquisitions: 500,
    warmUps: { callers: 2, acquisitions: 1 },
    growth: {
      native: { settling: 30_000, refreshes: 20_000 },
      msal: { settling: 500, refreshes: 500 },
    },
  },
};
