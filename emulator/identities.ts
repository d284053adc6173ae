// The identities of an endpoint, and how an id selects one of them.

import { createHash } from "node:crypto";
import type { EmulatorIdentity } from "managed-identity-native/emulator";
import { notify } from "./notify.js";

/** A kind of id by which an identity can be selected. */
export type IdKind = keyof EmulatorIdentity;

/** The tenant of the default identities. */
export const tenantId: string = "7e4f1c6a-52d8-4b0e-9a6d-3c1b85f20e47";

const SUBSCRIPTION = "0d5a8f3e-9b1c-4f62-8e7d-6a4b2c91d350";
const PROVIDERS = `/subscriptions/${SUBSCRIPTION}/resourcegroups/emulator/providers`;

export const systemAssignedIdentity: EmulatorIdentity = Object.freeze({
  clientId: "5b8e2d14-6c3f-4a97-b1d0-7f92e83a4c61",
  objectId: "c14a7e92-0f5b-4d38-8a6e-21d9b7c3f580",
  resourceId: `${PROVIDERS}/Microsoft.Compute/virtualMachines/emulator`,
});

export const userAssignedIdentity: EmulatorIdentity = Object.freeze({
  clientId: "a2f6c9d8-31e7-4b54-90c2-e85d174fb36a",
  objectId: "38d1b5f7-e2a9-4c60-b7f4-05c69a8e12d3",
  resourceId: `${PROVIDERS}/Microsoft.ManagedIdentity/userAssignedIdentities/first`,
});

export const otherUserAssignedIdentity: EmulatorIdentity = Object.freeze({
  clientId: "f07d3b6e-84a1-49c5-a3e9-6d2c50b7918f",
  objectId: "96e4c2a0-7d18-4f3b-8c51-b0fa3e65d729",
  resourceId: `${PROVIDERS}/Microsoft.ManagedIdentity/userAssignedIdentities/second`,
});

export interface UnknownIdentityOptions {
  /** Whether an unknown id selects a synthetic user-assigned identity. */
  readonly acceptAny: boolean;
  /** Called with an unknown id, unless `acceptAny`. */
  readonly onUnknown: ((id: string) => void) | undefined;
}

export class Identities {
  readonly systemAssigned: EmulatorIdentity | undefined;
  readonly userAssigned: readonly EmulatorIdentity[];
  readonly #options: UnknownIdentityOptions;

  constructor(
    systemAssigned: EmulatorIdentity | undefined,
    userAssigned: readonly EmulatorIdentity[],
    options: UnknownIdentityOptions,
  ) {
    this.systemAssigned = systemAssigned;
    this.userAssigned = userAssigned;
    this.#options = options;
  }

  get all(): readonly EmulatorIdentity[] {
    return this.systemAssigned ? [this.systemAssigned, ...this.userAssigned] : this.userAssigned;
  }

  /** Returns the identity of a request that names none: the system-assigned one, or the only user-assigned one. */
  defaultIdentity(): EmulatorIdentity | undefined {
    if (this.systemAssigned) return this.systemAssigned;
    return this.userAssigned.length === 1 ? this.userAssigned[0] : undefined;
  }

  /** Returns the identity with this id. GUIDs and ARM resource ids are compared without case. */
  find(kind: IdKind, id: string): EmulatorIdentity | undefined {
    return this.#findAmong(this.all, kind, id);
  }

  findUserAssigned(kind: IdKind, id: string): EmulatorIdentity | undefined {
    return this.#findAmong(this.userAssigned, kind, id);
  }

  #findAmong(
    candidates: readonly EmulatorIdentity[],
    kind: IdKind,
    id: string,
  ): EmulatorIdentity | undefined {
    const wanted = id.toLowerCase();
    const found = candidates.find((identity) => identity[kind].toLowerCase() === wanted);
    if (found !== undefined) return found;
    if (this.#options.acceptAny && wanted !== "") return syntheticIdentity(kind, id);
    notify(this.#options.onUnknown, id);
    return undefined;
  }
}

/** Returns an identity with this id. The other ids are derived from it, so that the result is always the same. */
function syntheticIdentity(kind: IdKind, id: string): EmulatorIdentity {
  const guid = (purpose: string) => {
    const hash = createHash("sha256").update(`${purpose} ${id.toLowerCase()}`).digest("hex");
    // The version (4) and the variant (8) of a random GUID (RFC 9562, section 5.4).
    return hash.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, "$1-$2-4$3-8$4-$5");
  };
  return {
    clientId: guid("client"),
    objectId: guid("object"),
    resourceId: `${PROVIDERS}/Microsoft.ManagedIdentity/userAssignedIdentities/${guid("name")}`,
    [kind]: id,
  };
}
