/*
 * The options of an application, flat and of any type, as native code parses them.
 */

import type { JsApplicationOptions } from "./native-binding.js";
import { option } from "./safe-objects.js";

/** Reads each option once. null means absent for those that this layer uses itself. */
export function readOptions(configuration: unknown): JsApplicationOptions {
  const ids = option(configuration, "managedIdentityIdParams");
  const system = option(configuration, "system");
  const networkClient = option(system, "networkClient") ?? undefined;
  const loggerOptions = option(system, "loggerOptions");
  const retryOptions = option(system, "retryOptions");
  const cache = option(configuration, "cache") ?? undefined;
  const cachePlugin = option(cache, "cachePlugin");
  return {
    configuration,
    managedIdentityIdParams: ids,
    userAssignedClientId: option(ids, "userAssignedClientId"),
    userAssignedResourceId: option(ids, "userAssignedResourceId"),
    userAssignedObjectId: option(ids, "userAssignedObjectId"),
    userAssignedId: option(ids, "userAssignedId"),
    clientCapabilities: option(configuration, "clientCapabilities"),
    // Any object is accepted as a configuration, and a regular expression has a `source` of its own.
    source: configuration instanceof RegExp ? undefined : option(configuration, "source"),
    cache,
    cacheDirectory: option(cache, "directory"),
    cachePlugin,
    beforeCacheAccess: option(cachePlugin, "beforeCacheAccess"),
    afterCacheAccess: option(cachePlugin, "afterCacheAccess"),
    system,
    disableInternalRetries: option(system, "disableInternalRetries"),
    retryOptions,
    maxRetries: option(retryOptions, "maxRetries"),
    retryDelayInMs: option(retryOptions, "retryDelayInMs"),
    maxRetryDelayInMs: option(retryOptions, "maxRetryDelayInMs"),
    connectTimeout: option(system, "connectTimeout"),
    requestTimeout: option(system, "requestTimeout"),
    totalTimeout: option(system, "totalTimeout"),
    networkClient,
    sendGetRequest: option(networkClient, "sendGetRequestAsync"),
    sendPostRequest: option(networkClient, "sendPostRequestAsync"),
    loggerOptions,
    loggerCallback: option(loggerOptions, "loggerCallback") ?? undefined,
    logLevel: option(loggerOptions, "logLevel"),
    piiLoggingEnabled: option(loggerOptions, "piiLoggingEnabled"),
    onBackgroundTokenRefresh: option(system, "onBackgroundTokenRefresh"),
    enableAzureProxy: option(system, "enableAzureProxy"),
  };
}
