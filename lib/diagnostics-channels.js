"use strict";

/*
 * The diagnostics channels of this package. No message contains a token or a secret.
 */

const { channel } = require("node:diagnostics_channel");

const start = channel("managed-identity-native:acquire:start");
const end = channel("managed-identity-native:acquire:end");
/** The channels of native events, by the kind of their records. */
const nativeChannels = {
  request: channel("managed-identity-native:request"),
  retry: channel("managed-identity-native:retry"),
  refresh: channel("managed-identity-native:refresh"),
};

/** Whether the start or the end of a call has a subscriber. */
function hasAcquireSubscribers() {
  return start.hasSubscribers || end.hasSubscribers;
}

/** Whether a native event has a subscriber. */
function hasNativeSubscribers() {
  return (
    nativeChannels.request.hasSubscribers ||
    nativeChannels.retry.hasSubscribers ||
    nativeChannels.refresh.hasSubscribers
  );
}

/** The correlation ids of failed calls, by error. The error itself has the service's id if the service sent one. */
const correlationIds = new WeakMap();

/** Records the call of an error. */
function recordFailure(error, correlationId) {
  correlationIds.set(error, correlationId);
}

/** Publishes a call's start and end. Both messages are one object, so that a subscriber can correlate them. */
async function traceAcquire(resource, call) {
  const message = { resource };
  start.publish(message);
  try {
    const result = await call();
    const { correlationId, fromCache, expiresOn, metadata } = result;
    end.publish(withFields(message, { correlationId, fromCache, expiresOn, metadata }));
    return result;
  } catch (error) {
    const { errorCode, metadata } = error ?? {};
    const correlationId = correlationIds.get(error) ?? error?.correlationId;
    end.publish(withFields(message, { correlationId, errorCode, metadata, error }));
    throw error;
  }
}

/** Publishes a native event. In its record, null stands for absent. */
function publish({ kind, token, failure, ...facts }) {
  const target = nativeChannels[kind];
  if (!target.hasSubscribers) return;
  const metadata = token?.metadata ?? failure?.metadata;
  const outcome = {
    metadata: metadata ?? null,
    expiresOn: token === null ? null : new Date(token.expiresOnMs),
    errorCode: failure?.errorCode ?? null,
    errorMessage: failure?.errorMessage ?? null,
  };
  const message = { ...facts, ...outcome, statusCode: facts.statusCode ?? failure?.statusCode ?? null };
  const names = Object.keys(message);
  for (let index = 0; index < names.length; index += 1) {
    if (message[names[index]] === null) delete message[names[index]];
  }
  target.publish(message);
}

/** Adds fields to a message. They are defined, because an assignment can fail on a changed Object.prototype. */
function withFields(message, fields) {
  return Object.defineProperties(message, Object.getOwnPropertyDescriptors(fields));
}

module.exports.hasAcquireSubscribers = hasAcquireSubscribers;
module.exports.hasNativeSubscribers = hasNativeSubscribers;
module.exports.recordFailure = recordFailure;
module.exports.traceAcquire = traceAcquire;
module.exports.publish = publish;
