/*
 * MSAL.NET's factory methods. An instance is a value for the option managedIdentityIdParams.
 */

import type { ManagedIdentityIdParams } from "../index.js";
import { requireId } from "./errors.js";
import { defineField, freeze } from "./safe-objects.js";

export class ManagedIdentityId {
  constructor(name?: keyof ManagedIdentityIdParams, id?: string) {
    if (name !== undefined) defineField(this, name, requireId(id, name));
    freeze(this);
  }

  static systemAssigned(): ManagedIdentityIdParams {
    return create();
  }

  static withUserAssignedClientId(id: string): ManagedIdentityIdParams {
    return create("userAssignedClientId", id);
  }

  static withUserAssignedResourceId(id: string): ManagedIdentityIdParams {
    return create("userAssignedResourceId", id);
  }

  static withUserAssignedObjectId(id: string): ManagedIdentityIdParams {
    return create("userAssignedObjectId", id);
  }
}

/** Outside the class, because esbuild renames a class whose methods refer to it by its name. */
function create(name?: keyof ManagedIdentityIdParams, id?: string): ManagedIdentityIdParams {
  return new ManagedIdentityId(name, id) as ManagedIdentityIdParams;
}
