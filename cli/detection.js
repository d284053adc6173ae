"use strict";

// Why the source is what it is. The rules are the package's, and are not repeated here: it is asked what the source
// would be if a variable were another. For that process.env is changed and put back before anybody else runs.

const { binding } = require("../lib/native-binding.js");

/** Some value for a variable that has none, to see what would be if it had. */
const PLACEHOLDER = "placeholder";

/** The variables without any one of which the source would be another. */
function decidingVariables(application) {
  const source = application.getManagedIdentitySource();
  return binding
    .environmentVariables()
    .filter(
      (name) =>
        process.env[name] !== undefined &&
        withVariable(name, undefined, () => application.getManagedIdentitySource()) !== source,
    );
}

/**
 * What a single variable more would make of this host, if one that is set now had a say in it: a list of
 * `{ missing, source, present }`.
 */
function nearlySources(application) {
  const source = application.getManagedIdentitySource();
  return binding
    .environmentVariables()
    .filter((name) => !process.env[name])
    .flatMap((missing) =>
      withVariable(missing, PLACEHOLDER, () => {
        const other = application.getManagedIdentitySource();
        const present = decidingVariables(application).filter((name) => name !== missing);
        return other === source || present.length === 0 ? [] : [{ missing, source: other, present }];
      }),
    );
}

/** What `look` finds while a variable has another value, or none. */
function withVariable(name, value, look) {
  const before = process.env[name];
  assign(name, value);
  try {
    return look();
  } finally {
    assign(name, before);
  }
}

function assign(name, value) {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

/**
 * The variables, set now, that would lead away from `source` although those of `env` are set; undefined if something
 * else than a variable does.
 */
function rivals(application, env, source) {
  const found = [];
  const look = () => {
    if (application.getManagedIdentitySource() === source) return found;
    const [rival] = decidingVariables(application).filter((name) => !Object.hasOwn(env, name));
    if (rival === undefined) return undefined;
    found.push(rival);
    return withVariable(rival, undefined, look);
  };
  return Object.entries(env).reduceRight(
    (inner, [name, value]) =>
      () =>
        withVariable(name, value, inner),
    look,
  )();
}

module.exports = { decidingVariables, nearlySources, rivals };
