"use strict";

/*
 * The persistent cache of an application: connects the directory or the plug-in of its options to native code.
 *
 * A plug-in is msal-node's ICachePlugin. It stores one text: a JSON object that has this package's records under one
 * name, so that the content of other libraries is preserved.
 */

const { hostname } = require("node:os");

const CACHE_NAMESPACE = "managed-identity-native";

/** How long an access waits for the previous one at most. */
const ACCESS_TIMEOUT_MS = 10_000;

/** The plug-ins of this thread's applications, each with its id and its access function. */
const plugins = new WeakMap();

/** Sets where native code persists this application's tokens. */
function attachCache(native, directory, cachePlugin, newId) {
  if (directory !== undefined && directory !== null) {
    native.useCacheDirectory(hostname());
  } else if (cachePlugin !== undefined && cachePlugin !== null) {
    if (!plugins.has(cachePlugin)) {
      plugins.set(cachePlugin, { id: newId(), access: serializeAccess(cachePlugin) });
    }
    const { id, access } = plugins.get(cachePlugin);
    native.useCachePlugin(hostname(), access, id);
  }
}

/** Returns a function that reads or replaces the record of an entry, one access at a time. It never rejects. */
function serializeAccess(plugin) {
  const cache = new SerializableCache();
  let last = Promise.resolve();
  return ({ entry, record }) => {
    const access = last
      .then(() => accessPlugin(plugin, cache, entry, record ?? undefined))
      .catch(() => undefined);
    last = last.then(() => settleWithin(ACCESS_TIMEOUT_MS, access));
    return access;
  };
}

/** Resolves when a promise does, or after a timeout. The timer does not keep the process alive. */
function settleWithin(ms, promise) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms).unref();
    promise.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

async function accessPlugin(plugin, cache, entry, record) {
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
class TokenCacheContext {
  tokenCache;
  cacheHasChanged;

  constructor(tokenCache, cacheHasChanged) {
    this.tokenCache = tokenCache;
    this.cacheHasChanged = cacheHasChanged;
  }
}

/** The content that a plug-in stores. */
class SerializableCache {
  #content = {};

  serialize() {
    return JSON.stringify(this.#content);
  }

  deserialize(text) {
    this.#content = parseContent(text);
  }

  find(entry) {
    const record = this.#content[CACHE_NAMESPACE]?.[entry];
    return typeof record === "string" ? record : undefined;
  }

  put(entry, record) {
    this.#content = {
      ...this.#content,
      [CACHE_NAMESPACE]: { ...this.#content[CACHE_NAMESPACE], [entry]: record },
    };
  }
}

/** Parses a plug-in's text. A damaged text counts as empty. */
function parseContent(text) {
  try {
    const content = JSON.parse(text);
    return typeof content === "object" && content !== null && !Array.isArray(content) ? content : {};
  } catch {
    return {};
  }
}

module.exports.attachCache = attachCache;
