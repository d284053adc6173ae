"use strict";

/*
 * A cache outside of this process: the directory or the plug-in of an application's options, as native code takes
 * them. Loaded for applications that were given one.
 *
 * A plug-in is msal-node's ICachePlugin. It keeps one text: a JSON object, in which the records of this package
 * stand under one name, so that what others have put there stays.
 */

const { hostname } = require("node:os");

const OURS = "managed-identity-native";

/** How long the next access waits for one that does not come back. */
const PATIENCE_MS = 10_000;

/** The plug-ins that applications of this thread were given, each with its number and its access function. */
const plugins = new WeakMap();

/** Tells native code where this application's tokens are kept. */
function keep(native, directory, cachePlugin, drawNumber) {
  if (directory !== undefined && directory !== null) {
    native.useCacheDirectory(hostname());
  } else if (cachePlugin !== undefined && cachePlugin !== null) {
    if (!plugins.has(cachePlugin)) {
      plugins.set(cachePlugin, { number: drawNumber(), access: accessTo(cachePlugin) });
    }
    const { number, access } = plugins.get(cachePlugin);
    native.useCachePlugin(hostname(), access, number);
  }
}

/** Reads the record of an entry, or replaces it. One access at a time; it never rejects. */
function accessTo(plugin) {
  const cache = new SerializableCache();
  let last = Promise.resolve();
  return ({ entry, record }) => {
    const access = last
      .then(() => accessed(plugin, cache, entry, record ?? undefined))
      .catch(() => undefined);
    last = last.then(() => within(PATIENCE_MS, access));
    return access;
  };
}

/** Resolves when a promise does, or after so many milliseconds, for which no process is kept alive. */
function within(ms, promise) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms).unref();
    promise.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

async function accessed(plugin, cache, entry, record) {
  const context = new TokenCacheContext(cache, record !== undefined);
  await plugin.beforeCacheAccess(context);
  try {
    if (record !== undefined) cache.put(entry, record);
    return cache.find(entry);
  } finally {
    await plugin.afterCacheAccess(context); // A plug-in that locks lets go here.
  }
}

/** What a plug-in gets, as msal-node's plug-ins know it. */
class TokenCacheContext {
  tokenCache;
  cacheHasChanged;

  constructor(tokenCache, cacheHasChanged) {
    this.tokenCache = tokenCache;
    this.cacheHasChanged = cacheHasChanged;
  }
}

/** The text that a plug-in keeps; it hands over only what it has not handed over before. */
class SerializableCache {
  #content = {};

  serialize() {
    return JSON.stringify(this.#content);
  }

  deserialize(text) {
    this.#content = contentOf(text);
  }

  find(entry) {
    const record = this.#content[OURS]?.[entry];
    return typeof record === "string" ? record : undefined;
  }

  put(entry, record) {
    this.#content = { ...this.#content, [OURS]: { ...this.#content[OURS], [entry]: record } };
  }
}

/** A damaged text is as good as none. */
function contentOf(text) {
  try {
    const content = JSON.parse(text);
    return typeof content === "object" && content !== null && !Array.isArray(content) ? content : {};
  } catch {
    return {};
  }
}

module.exports.keep = keep;
