"use strict";

/*
 * The events of this package, as channels of node:diagnostics_channel. No message holds a token or a secret.
 * Loaded by the first call that has to ask native code.
 */

const { channel } = require("node:diagnostics_channel");

const start = channel("managed-identity-native:acquire:start");
const end = channel("managed-identity-native:acquire:end");
/** What native code tells of, by the kind of its records. */
const native = {
  request: channel("managed-identity-native:request"),
  retry: channel("managed-identity-native:retry"),
  refresh: channel("managed-identity-native:refresh"),
};

/** Whether somebody wants to know of calls. */
function isTraced() {
  return start.hasSubscribers || end.hasSubscribers;
}

/** Whether somebody wants to know what native code does. */
function isObserved() {
  return native.request.hasSubscribers || native.retry.hasSubscribers || native.refresh.hasSubscribers;
}

/** The ids of calls that failed, by their errors: an error itself bears the service's own id where that sent one. */
const callIds = new WeakMap();

/** Remembers which call an error is of. */
function failed(error, correlationId) {
  callIds.set(error, correlationId);
}

/** Tells of a call's start and end; both messages are one object, so that a subscriber can tie them together. */
async function traced(resource, call) {
  const message = { resource };
  start.publish(message);
  try {
    const result = await call();
    const { correlationId, fromCache, expiresOn, metadata } = result;
    end.publish(extended(message, { correlationId, fromCache, expiresOn, metadata }));
    return result;
  } catch (error) {
    const { errorCode, metadata } = error ?? {};
    const correlationId = callIds.get(error) ?? error?.correlationId;
    end.publish(extended(message, { correlationId, errorCode, metadata, error }));
    throw error;
  }
}

/** Publishes what native code tells; in its records, null stands for what is absent. */
function publish({ kind, token, failure, ...facts }) {
  const to = native[kind];
  if (!to.hasSubscribers) return;
  const metadata = token?.metadata ?? failure?.metadata;
  const further = {
    metadata: metadata ?? null,
    expiresOn: token === null ? null : new Date(token.expiresOnMs),
    errorCode: failure?.errorCode ?? null,
    errorMessage: failure?.errorMessage ?? null,
  };
  const message = { ...facts, ...further, statusCode: facts.statusCode ?? failure?.statusCode ?? null };
  const names = Object.keys(message);
  for (let index = 0; index < names.length; index += 1) {
    if (message[names[index]] === null) delete message[names[index]];
  }
  to.publish(message);
}

/** A message with more fields, which are defined: assigning could fail by what others have put on Object.prototype. */
function extended(message, fields) {
  return Object.defineProperties(message, Object.getOwnPropertyDescriptors(fields));
}

module.exports.isTraced = isTraced;
module.exports.isObserved = isObserved;
module.exports.failed = failed;
module.exports.traced = traced;
module.exports.publish = publish;
