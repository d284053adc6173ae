// What programs do to the prototypes that everything inherits from: it changes neither what a call brings nor what an
// error says. Each test runs in a process of its own, since no other test could run beside it.

import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import test from "ava";
import { runProcess } from "./support/program.mjs";

const root = new URL("..", import.meta.url);

/** Every name of a field that the package's own code reads or writes, and those that Node.js looks for. */
function fieldNames() {
  const files = readdirSync(new URL("lib", root)).map((name) => `lib/${name}`);
  const text = files.map((file) => readFileSync(new URL(file, root), "utf8")).join("\n");
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "");
  const names = [...code.matchAll(/(?<=[.{,] ?)[a-z]\w*|\b[a-z]\w*(?=:)|(?<=")[a-z]\w*(?=")/gi)];
  const looked = ["get", "set", "value", "writable", "enumerable", "configurable", "then", "cause"];
  return [...new Set([...names.map(([name]) => name), ...looked])];
}

/** App Service's endpoint, which has no identity for one resource. */
async function startServer(t) {
  const server = createServer((request, response) => {
    const resource = new URL(request.url, "http://host").searchParams.get("resource");
    const isMissing = resource === "https://not-found.example";
    const expiresOn = Math.floor(Date.now() / 1000) + 3600;
    const body = isMissing
      ? { error: "invalid_request", error_description: "Identity not found" }
      : { access_token: "a-token", expires_on: `${expiresOn}`, resource, token_type: "Bearer" };
    response.writeHead(isMissing ? 400 : 200, { "Content-Type": "application/json" });
    response.end(JSON.stringify(body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    IDENTITY_ENDPOINT: `http://127.0.0.1:${server.address().port}/msi/token`,
    IDENTITY_HEADER: "secret",
  };
}

/**
 * Tries every kind of call under each pollution, `{ name, way }`, and reports what was wrong with the outcomes. It is
 * sent to a process as its text.
 */
async function program({ native, argument: pollutions, report }) {
  const resource = "https://vault.azure.net";
  const { defineProperty, getOwnPropertyDescriptor, hasOwn } = Object;
  /** Puts another method in place of one; the function that it returns puts it back. */
  const replaced = (target, name, method) => {
    const before = getOwnPropertyDescriptor(target, name);
    const thrown = () => {
      throw new EvalError(`called ${String(name)}`);
    };
    defineProperty(target, name, { __proto__: null, configurable: true, value: method ?? thrown });
    return () => (before === undefined ? delete target[name] : defineProperty(target, name, before));
  };
  const ways = {
    accessor: (name) =>
      defineProperty(Object.prototype, name, {
        __proto__: null,
        configurable: true,
        get() {
          throw new EvalError(`read ${name}`);
        },
        set() {
          throw new EvalError(`wrote ${name}`);
        },
      }),
    readOnly: (name) =>
      defineProperty(Object.prototype, name, { __proto__: null, configurable: true, value: "polluted" }),
    // Without accessors and writable, since Node.js itself fills arrays by assigning to their elements.
    element: (name) =>
      defineProperty(Array.prototype, name, {
        __proto__: null,
        configurable: true,
        writable: true,
        value: "polluted",
      }),
    method: (name) => replaced(Array.prototype, name),
    iterator: () => replaced(Array.prototype, Symbol.iterator),
    otherThen: () => replaced(Promise.prototype, "then"),
    // Of every object a thenable, which never calls back.
    thenable: () => replaced(Object.prototype, "then", () => undefined),
    frozenError: () => void Object.freeze(Error.prototype),
    frozenAll: () => {
      for (const { prototype: frozen } of [Object, Function, Array, Error, Promise, Map, Set, WeakMap])
        Object.freeze(frozen);
    },
  };
  const undo = (name, undoing) => {
    if (typeof undoing === "function") undoing();
    else if (name !== undefined) {
      delete Object.prototype[name];
      delete Array.prototype[name];
    }
  };
  const thrownBy = (call) => {
    try {
      return { __proto__: null, value: call() };
    } catch (error) {
      return { __proto__: null, error };
    }
  };
  const outcomeOf = async (call) => {
    try {
      return { __proto__: null, value: await call() };
    } catch (error) {
      return { __proto__: null, error };
    }
  };
  const own = (error, field) =>
    error !== undefined && hasOwn(error, field) ? getOwnPropertyDescriptor(error, field).value : undefined;
  const isError = (error, Class, code, words) =>
    error instanceof Class &&
    native.isManagedIdentityError(error) &&
    own(error, "name") === Class.name &&
    own(error, "code") === code &&
    own(error, "errorCode") === code &&
    `${own(error, "errorMessage")}`.includes(words) &&
    own(error, "message") === `${code}: ${own(error, "errorMessage")}` &&
    own(error, "subError") === "" &&
    typeof own(error, "correlationId") === "string" &&
    own(error, "retryable") === false &&
    hasOwn(error, "stack");
  const isToken = (result, fromCache) =>
    own(result, "accessToken") === "a-token" &&
    own(result, "fromCache") === fromCache &&
    own(result, "expiresOn")?.getTime() > Date.now() &&
    own(result, "scopes")?.[0] === resource &&
    hasOwn(result, "refreshOn");

  const { ManagedIdentityApplication, ManagedIdentityError, CredentialUnavailableError } = native;
  const app = new ManagedIdentityApplication({ system: { disableInternalRetries: true } });
  await app.acquireToken(resource);
  for (let index = 0; index < pollutions.length; index += 1) {
    const { way, name } = pollutions[index];
    const wrong = { __proto__: null };
    const check = (what, holds) => {
      if (!holds) wrong[what] = true;
    };
    if (way !== "method" && name !== undefined && name in Object.prototype) continue;
    let undoing;
    try {
      undoing = ways[way](name);
      // Not one of Node.js's own, which assigns fields itself.
      const signal = { aborted: false, addEventListener() {}, removeEventListener() {} };
      const misspelt = thrownBy(() => new ManagedIdentityApplication({ clientId: "x" }));
      const ids = { userAssignedClientId: "" };
      const empty = thrownBy(() => new ManagedIdentityApplication({ managedIdentityIdParams: ids }));
      const made = thrownBy(() => new ManagedIdentityApplication({ system: {} }));
      const invalid = await outcomeOf(() => app.acquireToken({ resource: "nonsense" }));
      const missing = await outcomeOf(() => app.getToken("https://not-found.example/.default"));
      const fresh = await outcomeOf(() =>
        app.acquireToken({ resource, forceRefresh: true, abortSignal: signal }),
      );
      const cached = await outcomeOf(() => app.acquireToken({ resource }));
      const byName = await outcomeOf(() => made.value.acquireToken(resource));
      const access = await outcomeOf(() => app.getToken(`${resource}/.default`, {}));
      const bearer = await outcomeOf(() => app.bearerToken(resource)());
      const source = thrownBy(() => app.getManagedIdentitySource());
      undo(name, undoing);
      undoing = undefined;

      check(
        "a misspelt option",
        isError(misspelt.error, ManagedIdentityError, "invalid_configuration", "clientId"),
      );
      check(
        "an empty id",
        isError(empty.error, ManagedIdentityError, "missing_client_id", "userAssignedClientId"),
      );
      check("a wrong resource", isError(invalid.error, ManagedIdentityError, "invalid_resource", "URL"));
      check(
        "no identity",
        isError(missing.error, CredentialUnavailableError, "invalid_request", "not found"),
      );
      check("a status", own(missing.error, "statusCode") === 400 && own(missing.error, "attempts") === 1);
      check(
        "no cause",
        own(missing.error, "cause") === undefined && own(missing.error, "metadata") !== undefined,
      );
      check("a new token", isToken(fresh.value, false));
      check("a cached token", isToken(cached.value, true));
      check("another application's", isToken(byName.value, true));
      check(
        "getToken's",
        own(access.value, "token") === "a-token" && own(access.value, "refreshAfterTimestamp") === undefined,
      );
      check("a bearer token", bearer.value === "a-token");
      check("the source", source.value === "AppService");
    } catch (error) {
      undo(name, undoing);
      wrong[`${error}`] = true;
    }
    const found = Object.keys(wrong);
    if (found.length > 0) report({ way, name, found });
  }
  report("tried them all");
}

const names = fieldNames();
const METHODS = ["map", "filter", "find", "forEach", "push", "shift", "includes", "join", "slice", "some"];
const cases = {
  "accessors on Object.prototype that throw": names.map((name) => ({ way: "accessor", name })),
  "read-only values on Object.prototype": names.map((name) => ({ way: "readOnly", name })),
  "elements and methods of Array.prototype": [
    ...["0", "1", "2"].map((name) => ({ way: "element", name })),
    ...METHODS.map((name) => ({ way: "method", name })),
    { way: "iterator" },
  ],
  "another Promise.prototype.then, and one on Object.prototype": [{ way: "otherThen" }, { way: "thenable" }],
  "a frozen Error.prototype": [{ way: "frozenError" }],
  "every prototype frozen": [{ way: "frozenAll" }],
};

test("the names that are tried are those of the code", (t) => {
  for (const name of [
    "abortSignal",
    "errorCode",
    "resource",
    "userAssignedClientId",
    "refreshOnMs",
    "failure",
  ]) {
    t.true(names.includes(name), name);
  }
});

for (const [name, pollutions] of Object.entries(cases)) {
  test(name, async (t) => {
    const env = await startServer(t);
    t.deepEqual(await runProcess(t, program, { argument: pollutions, env }), ["tried them all"]);
  });
}

test("prototypes that are frozen before the package is loaded", async (t) => {
  const env = await startServer(t);
  const [found] = await runProcess(
    t,
    async (scope) => {
      for (const { prototype } of [Object, Function, Array, Error, Promise, Map, Set])
        Object.freeze(prototype);
      const { ManagedIdentityApplication, isManagedIdentityError } = scope.native;
      const { fromCache } = await new ManagedIdentityApplication().acquireToken("https://vault.azure.net");
      const error = await new ManagedIdentityApplication().acquireToken("nonsense").catch((thrown) => thrown);
      scope.report([fromCache, isManagedIdentityError(error), error.name, error.code, error.errorCode]);
    },
    { env },
  );
  t.deepEqual(found, [false, true, "ManagedIdentityError", "invalid_resource", "invalid_resource"]);
});

test("a variable that Object.prototype has is not one of the environment", async (t) => {
  const env = await startServer(t);
  const reports = await runProcess(
    t,
    async ({ native, argument, report }) => {
      const app = new native.ManagedIdentityApplication();
      Object.prototype.MSI_ENDPOINT = "http://127.0.0.1:1";
      Object.prototype.MSI_SECRET = "polluted";
      report(app.getManagedIdentitySource());
      Object.assign(process.env, argument);
      report(app.getManagedIdentitySource());
      report((await app.acquireToken("https://vault.azure.net")).fromCache);
      report((await app.acquireToken("https://vault.azure.net")).fromCache);
    },
    { argument: env },
  );
  t.deepEqual(reports, ["DefaultToImds", "AppService", false, true]);
});
