"use strict";

// The identities of an endpoint, and how an id selects one of them.

const { createHash } = require("node:crypto");

/** The tenant of the default identities. */
const tenantId = "7e4f1c6a-52d8-4b0e-9a6d-3c1b85f20e47";

const SUBSCRIPTION = "0d5a8f3e-9b1c-4f62-8e7d-6a4b2c91d350";
const PROVIDERS = `/subscriptions/${SUBSCRIPTION}/resourcegroups/emulator/providers`;

const systemAssignedIdentity = Object.freeze({
  clientId: "5b8e2d14-6c3f-4a97-b1d0-7f92e83a4c61",
  objectId: "c14a7e92-0f5b-4d38-8a6e-21d9b7c3f580",
  resourceId: `${PROVIDERS}/Microsoft.Compute/virtualMachines/emulator`,
});

const userAssignedIdentity = Object.freeze({
  clientId: "a2f6c9d8-31e7-4b54-90c2-e85d174fb36a",
  objectId: "38d1b5f7-e2a9-4c60-b7f4-05c69a8e12d3",
  resourceId: `${PROVIDERS}/Microsoft.ManagedIdentity/userAssignedIdentities/first`,
});

const otherUserAssignedIdentity = Object.freeze({
  clientId: "f07d3b6e-84a1-49c5-a3e9-6d2c50b7918f",
  objectId: "96e4c2a0-7d18-4f3b-8c51-b0fa3e65d729",
  resourceId: `${PROVIDERS}/Microsoft.ManagedIdentity/userAssignedIdentities/second`,
});

class Identities {
  #acceptAny;
  #onUnknown;

  /**
   * With `acceptAny`, an unknown id selects a synthetic user-assigned identity. Otherwise `onUnknown` is called with
   * the id.
   */
  constructor(systemAssigned, userAssigned, { acceptAny = false, onUnknown } = {}) {
    this.systemAssigned = systemAssigned;
    this.userAssigned = userAssigned;
    this.#acceptAny = acceptAny;
    this.#onUnknown = onUnknown;
  }

  get all() {
    return this.systemAssigned ? [this.systemAssigned, ...this.userAssigned] : this.userAssigned;
  }

  /** Returns the identity of a request that names none: the system-assigned one, or the only user-assigned one. */
  defaultIdentity() {
    if (this.systemAssigned) return this.systemAssigned;
    return this.userAssigned.length === 1 ? this.userAssigned[0] : undefined;
  }

  /** Returns the identity with this id. GUIDs and ARM resource ids are compared without case. */
  find(kind, id) {
    return this.#findAmong(this.all, kind, id);
  }

  findUserAssigned(kind, id) {
    return this.#findAmong(this.userAssigned, kind, id);
  }

  #findAmong(candidates, kind, id) {
    const wanted = id.toLowerCase();
    const found = candidates.find((identity) => identity[kind].toLowerCase() === wanted);
    if (found !== undefined) return found;
    if (this.#acceptAny && wanted !== "") return syntheticIdentity(kind, id);
    this.#onUnknown?.(id);
    return undefined;
  }
}

/** Returns an identity with this id. The other ids are derived from it, so that the result is always the same. */
function syntheticIdentity(kind, id) {
  const guid = (purpose) => {
    const hash = createHash("sha256").update(`${purpose} ${id.toLowerCase()}`).digest("hex");
    const [, ...parts] = /^(.{8})(.{4}).(.{3}).(.{3})(.{12})/.exec(hash);
    return `${parts[0]}-${parts[1]}-4${parts[2]}-8${parts[3]}-${parts[4]}`;
  };
  return {
    clientId: guid("client"),
    objectId: guid("object"),
    resourceId: `${PROVIDERS}/Microsoft.ManagedIdentity/userAssignedIdentities/${guid("name")}`,
    [kind]: id,
  };
}

module.exports = {
  Identities,
  otherUserAssignedIdentity,
  systemAssignedIdentity,
  tenantId,
  userAssignedIdentity,
};
