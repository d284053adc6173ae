/*
 * The native binding of this machine, and the types that cross to JavaScript.
 */

import { loadNativeBinding } from "./load-native-binding.js";

export type {
  AcquisitionOutcome,
  CacheAccess,
  Environment,
  JsApplicationOptions,
  JsEvent,
  JsFailure,
  JsIdentity,
  JsMessage,
  JsMetadata,
  JsNetworkRequest,
  JsNetworkResponse,
  JsNodeRoots,
  JsRequestOptions,
  JsToken,
  ManagedIdentityApplication as NativeApplication,
  NodeRoots,
} from "../binding.js";

export const binding = loadNativeBinding();

export const version: string = binding.version();
