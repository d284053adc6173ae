/*
 * The persistent cache of an application: connects the directory or the plug-in of its options to native code.
 *
 * A plug-in is msal-node's ICachePlugin. It stores one text: a JSON object that has this package's records under one
 * name, so that the content of other libraries is preserved.
 */

import type * as contract from "../index.js";
import { binding, type CacheAccess, type NativeApplication } from "./native-binding.js";
import { nodeRequire } from "./node-require.js";

const CACHE_NAMESPACE = "managed-identity-native";

/** How long an access waits for the previous one at most. */
const ACCESS_TIMEOUT_MS = 10_000;

type Access = (access: CacheAccess) => Promise<string | undefined>;

/** The plug-ins of this thread's applications, each with its id and its access function. */
const plugins = new WeakMap<contract.ICachePlugin, { readonly id: number; readonly access: Access }>();

/**
 * Sets where native code persists this application's tokens. Native code has checked the options. Returns the function
 * that accesses the plug-in, if there is one.
 */
export function attachCache(
  native: NativeApplication,
  directory: unknown,
  cachePlugin: unknown,
): Access | undefined {
  const { hostname }: typeof import("node:os") = nodeRequire("node:os");
  if (directory !== undefined && directory !== null) {
    native.useCacheDirectory(hostname());
  } else if (cachePlugin !== undefined && cachePlugin !== null) {
    const plugin = cachePlugin as contract.ICachePlugin;
    const attached = plugins.get(plugin) ?? { id: binding.newTransportId(), access: serializeAccess(plugin) };
    plugins.set(plugin, attached);
    native.useCachePlugin(hostname(), attached.id);
    return attached.access;
  }
  return undefined;
}

/** Returns a function that reads or replaces the record of an entry, one access at a time. It never rejects. */
function serializeAccess(plugin: contract.ICachePlugin): Access {
  const cache = new SerializableCache();
  /** Undefined without a previous access: a promise keeps the async context that created it alive. */
  let last: Promise<void> | undefined;
  return ({ entry, record }) => {
    const previous = last ?? Promise.resolve();
    const access = previous
      .then(() => accessPlugin(plugin, cache, entry, record ?? undefined))
      .catch(() => undefined);
    const turn = previous
      .then(() => settleWithin(ACCESS_TIMEOUT_MS, access))
      .then(() => {
        if (last === turn) last = undefined;
      });
    last = turn;
    return access;
  };
}

/** Resolves when a promise does, or after a timeout. The timer does not keep the process alive. */
function settleWithin(ms: number, promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms).unref();
    promise.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

async function accessPlugin(
  plugin: contract.ICachePlugin,
  cache: SerializableCache,
  entry: string,
  record: string | undefined,
): Promise<string | undefined> {
  const context = new TokenCacheContext(cache, record !== undefined);
  await plugin.beforeCacheAccess(context);
  try {
    if (record !== undefined) cache.put(entry, record);
    return cache.find(entry);
  } finally {
    await plugin.afterCacheAccess(context); // A plug-in with a lock releases it here.
  }
}

/** The argument of a plug-in, with the fields of msal-node's class of this name. */
class TokenCacheContext implements contract.TokenCacheContext {
  tokenCache: contract.ISerializableTokenCache;
  cacheHasChanged: boolean;

  constructor(tokenCache: contract.ISerializableTokenCache, cacheHasChanged: boolean) {
    this.tokenCache = tokenCache;
    this.cacheHasChanged = cacheHasChanged;
  }
}

type Fields = { readonly [name: string]: unknown };

/** The content that a plug-in stores. */
class SerializableCache implements contract.ISerializableTokenCache {
  #content: Fields = {};

  serialize(): string {
    return JSON.stringify(this.#content);
  }

  deserialize(text: string): void {
    this.#content = parseContent(text);
  }

  find(entry: string): string | undefined {
    const record = this.#records()?.[entry];
    return typeof record === "string" ? record : undefined;
  }

  put(entry: string, record: string): void {
    this.#content = { ...this.#content, [CACHE_NAMESPACE]: { ...this.#records(), [entry]: record } };
  }

  #records(): Fields | null | undefined {
    return this.#content[CACHE_NAMESPACE] as Fields | null | undefined;
  }
}

/** Parses a plug-in's text. A damaged text counts as empty. */
function parseContent(text: string): Fields {
  try {
    const content: unknown = JSON.parse(text);
    return typeof content === "object" && content !== null && !Array.isArray(content)
      ? (content as Fields)
      : {};
  } catch {
    return {};
  }
}
