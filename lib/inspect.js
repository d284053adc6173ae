"use strict";

/*
 * The text that console.log and util.inspect print for an application: its identity and its source, never a token.
 */

const CLASS_NAME = "ManagedIdentityApplication";

/** Returns the text. It never throws, because logging must not fail a program. */
function inspectApplication(application, describe, depth, options, inspect) {
  try {
    const name = className(application);
    if (typeof depth === "number" && depth < 0) return `[${name}]`;
    const { identity, source } = describe();
    const parts = { identity: describeIdentity(identity), source };
    const text = typeof inspect === "function" ? inspect(parts, options) : JSON.stringify(parts);
    return `${name} ${text}`;
  } catch {
    return `${CLASS_NAME} {}`;
  }
}

function className(application) {
  const name = application.constructor?.name;
  return typeof name === "string" && name !== "" ? name : CLASS_NAME;
}

/** Hides an id without the form of one: it may be a secret in the wrong variable. */
function describeIdentity(identity) {
  if (identity === null) return "system-assigned";
  return { [identity.option]: identity.id ?? "<not in the form of an id>" };
}

module.exports.inspectApplication = inspectApplication;
