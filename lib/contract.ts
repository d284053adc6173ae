/*
 * Compares the exports of this layer with the hand-written contract, index.d.ts. Nothing imports this module: it has to
 * compile. An export, a method or a field of a result that one of the two lacks is an error.
 */

import type * as contract from "../index.js";
import type * as implementation from "./index.js";

type Implementation = typeof implementation;
type Contract = typeof contract;
/** The static members of a class, without its constructor, which the contract declares private. */
type Statics<Class> = { [Name in keyof Class]: Class[Name] };
type Comparable<Exports extends { ManagedIdentityId: unknown }> = Omit<Exports, "ManagedIdentityId"> & {
  ManagedIdentityId: Statics<Exports["ManagedIdentityId"]>;
};

export const implementsContract = (exports: Comparable<Implementation>): Comparable<Contract> => exports;

export const exportsNothingElse = (name: keyof Implementation): keyof Contract => name;
