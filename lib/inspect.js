"use strict";

/*
 * What console.log and util.inspect show of an application: whom it acts as and where its tokens would come from,
 * never a token. Loaded when an application is shown.
 */

const CLASS = "ManagedIdentityApplication";

/** The text; it never throws, since a program that only wants to log must go on. */
function shown(application, facts, depth, options, inspect) {
  try {
    const name = nameOf(application);
    if (typeof depth === "number" && depth < 0) return `[${name}]`;
    const { identity, source } = facts();
    const parts = { identity: identityOf(identity), source };
    const text = typeof inspect === "function" ? inspect(parts, options) : JSON.stringify(parts);
    return `${name} ${text}`;
  } catch {
    return `${CLASS} {}`;
  }
}

function nameOf(application) {
  const name = application.constructor?.name;
  return typeof name === "string" && name !== "" ? name : CLASS;
}

/** An id that does not look like one may be a secret that stands in the wrong variable. */
function identityOf(identity) {
  if (identity === null) return "system-assigned";
  return { [identity.option]: identity.id ?? "<not in the form of an id>" };
}

module.exports.shown = shown;
