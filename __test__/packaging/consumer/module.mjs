// An ECMAScript module.

import { createRequire } from "node:module";
import * as imported from "managed-identity-native";
import * as emulator from "managed-identity-native/emulator";
import journey from "./journey.cjs";

const require = createRequire(import.meta.url);
const required = require("managed-identity-native");
const exported = { ...imported };
const names = Object.keys(required);
const report = {
  ...(await journey(imported, emulator)),
  names: names.sort(),
  differing: names.filter(
    (name) => required[name] !== exported[name] || required[name] !== exported.default[name],
  ),
  addOns: process.report.getReport().sharedObjects.filter((path) => path.endsWith(".node")),
};
console.log(JSON.stringify(report));
