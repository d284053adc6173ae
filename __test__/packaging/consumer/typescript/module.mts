// A program in TypeScript that is compiled to an ECMAScript module.

import * as managedIdentity from "managed-identity-native";
import {
  type AuthenticationResult,
  ManagedIdentityApplication,
  ManagedIdentityError,
} from "managed-identity-native";
import * as emulator from "managed-identity-native/emulator";
import journey from "../journey.cjs";

const outcome: AuthenticationResult | unknown = await new ManagedIdentityApplication()
  .acquireToken({ resource: "no resource" })
  .catch((error: unknown) => error);
const errorCode = outcome instanceof ManagedIdentityError ? outcome.errorCode : undefined;
console.log(JSON.stringify({ ...(await journey(managedIdentity, emulator)), errorCode }));
