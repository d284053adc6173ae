// Lower bounds of a cached call: awaiting an async function that does nothing, and one that only creates the fields of
// a result.

import { microseconds } from "./clock.mjs";
import { assertMeasured } from "./contenders.mjs";

const { baseline, batchMs } = JSON.parse(process.argv[2]);
const token = {
  resource: "https://r.example.net",
  accessToken: "a",
  expiresOnMs: Date.now(),
  refreshOnMs: 1e12,
};

async function bare() {}

async function fields({ resource, accessToken, expiresOnMs, refreshOnMs }) {
  return {
    authority: "https://login.microsoftonline.com/managed_identity/",
    uniqueId: "",
    tenantId: "",
    scopes: [resource],
    account: null,
    idToken: "",
    idTokenClaims: {},
    accessToken,
    fromCache: true,
    expiresOn: new Date(expiresOnMs),
    extExpiresOn: new Date(expiresOnMs),
    refreshOn: new Date(refreshOnMs),
    correlationId: "",
    requestId: "",
    familyId: "",
    tokenType: "Bearer",
    state: "",
    cloudGraphHostName: "",
    msGraphHost: "",
    fromPlatformBroker: false,
  };
}

const loops = {
  async bare(count) {
    for (let made = 0; made < count; made += 1) await bare();
  },
  async fields(count) {
    let result;
    for (let made = 0; made < count; made += 1) result = await fields(token);
    assertMeasured(Object.keys(result).length === 20, "20 fields");
  },
};

console.log(JSON.stringify({ values: await microseconds(loops[baseline], batchMs), requests: 0 }));
