/*
 * The native binding of this machine, and the types that cross to JavaScript.
 */

import { loadNativeBinding } from "./load-native-binding.js";

export type {
  AcquisitionOutcome,
  CacheAccess,
  ConfigurationRecord as JsApplicationOptions,
  Environment,
  EventRecord as JsEvent,
  FailureRecord as JsError,
  IdentityRecord as JsIdentity,
  ManagedIdentityApplication as NativeApplication,
  MetadataRecord as JsMetadata,
  NetworkReply as JsNetworkResponse,
  NodeRoots,
  NodeRootsRecord as JsNodeRoots,
  TokenRecord as JsToken,
  WishesRecord as JsRequestOptions,
} from "../binding.js";

export const binding = loadNativeBinding();

export const version: string = binding.version();
