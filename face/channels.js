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
function traced(resource, call) {
  const message = { resource };
  start.publish(message);
  return new Promise((resolve) => resolve(call())).then(
    (result) => {
      const { correlationId, fromCache, expiresOn, metadata } = result;
      end.publish(Object.assign(message, { correlationId, fromCache, expiresOn, metadata }));
      return result;
    },
    (error) => {
      const { errorCode, metadata } = error ?? {};
      const correlationId = callIds.get(error) ?? error?.correlationId;
      end.publish(Object.assign(message, { correlationId, errorCode, metadata, error }));
      throw error;
    },
  );
}

/** Publishes what native code tells. */
function publish({ kind, token, failure, ...facts }) {
  const to = native[kind];
  if (!to.hasSubscribers) return;
  const message = { ...facts };
  const metadata = token?.metadata ?? failure?.metadata;
  if (metadata !== undefined) message.metadata = metadata;
  if (token !== undefined) message.expiresOn = new Date(token.expiresOnMs);
  if (failure !== undefined) {
    message.errorCode = failure.errorCode;
    message.errorMessage = failure.errorMessage;
    if (failure.statusCode !== undefined) message.statusCode = failure.statusCode;
  }
  to.publish(message);
}

module.exports.isTraced = isTraced;
module.exports.isObserved = isObserved;
module.exports.failed = failed;
module.exports.traced = traced;
module.exports.publish = publish;
