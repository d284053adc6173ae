// The public exports of `managed-identity-native/opentelemetry`, which index.d.ts documents. contract.ts compares the two.

export { subscribe } from "./subscribe.js";
