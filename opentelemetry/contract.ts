// Compares the exports with the hand-written contract, index.d.ts. Nothing imports this module: it has to compile.

import type * as contract from "managed-identity-native/opentelemetry";
import type * as implementation from "./index.js";

export const implementsContract = (exports: typeof implementation): typeof contract => exports;

export const exportsNothingElse = (name: keyof typeof implementation): keyof typeof contract => name;
