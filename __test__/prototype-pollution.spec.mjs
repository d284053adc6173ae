// Programs that change built-in prototypes: results of calls and errors are not affected. Each test runs in a child
// process, because no other test could run beside it.

import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import test from "ava";
import { runProcess } from "./support/child-program.mjs";

const root = new URL("..", import.meta.url);

/** All property names in the package's source, and those that Node.js looks up. */
function fieldNames() {
  const files = readdirSync(new URL("lib", root)).map((name) => `lib/${name}`);
  const text = files.map((file) => readFileSync(new URL(file, root), "utf8")).join("\n");
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "");
  const NAMES = [...code.matchAll(/(?<=[.{,] ?)[a-z]\w*|\b[a-z]\w*(?=:)|(?<=")[a-z]\w*(?=")/gi)];
  const lookedUp = ["get", "set", "value", "writable", "enumerable", "configurable", "then", "cause"];
  return [...new Set([...NAMES.map(([name]) => name), ...lookedUp])];
}

/** Starts an App Service endpoint that has no identity for one resource. */
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
 * Makes every kind of call under each pollution and reports the checks that failed. The function is sent to a process as
 * source text, and the pollutions, `{ kind, names }`, as an argument: Windows limits a command line to 32,767 characters.
 */
async function program({ native, argument, report }) {
  const pollutions = argument.flatMap(({ kind, names = [undefined] }) =>
    names.map((name) => ({ kind, name })),
  );
  const resource = "https://vault.azure.net";
  const { defineProperty, getOwnPropertyDescriptor, hasOwn } = Object;
  /** Replaces a method; returns a function that restores it. */
  const replaceMethod = (target, name, method) => {
    const before = getOwnPropertyDescriptor(target, name);
    const throwing = () => {
      throw new EvalError(`called ${String(name)}`);
    };
    defineProperty(target, name, { __proto__: null, configurable: true, value: method ?? throwing });
    return () => (before === undefined ? delete target[name] : defineProperty(target, name, before));
  };
  const pollute = {
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
    // A writable value without accessors, because Node.js itself fills arrays by assigning to their elements.
    element: (name) =>
      defineProperty(Array.prototype, name, {
        __proto__: null,
        configurable: true,
        writable: true,
        value: "polluted",
      }),
    method: (name) => replaceMethod(Array.prototype, name),
    iterator: () => replaceMethod(Array.prototype, Symbol.iterator),
    otherThen: () => replaceMethod(Promise.prototype, "then"),
    // Makes every object a thenable that never settles.
    thenable: () => replaceMethod(Object.prototype, "then", () => undefined),
    frozenError: () => void Object.freeze(Error.prototype),
    frozenAll: () => {
      for (const { prototype: frozen } of [Object, Function, Array, Error, Promise, Map, Set, WeakMap])
        Object.freeze(frozen);
    },
  };
  const cleanUp = (name, undo) => {
    if (typeof undo === "function") undo();
    else if (name !== undefined) {
      delete Object.prototype[name];
      delete Array.prototype[name];
    }
  };
  const callSync = (call) => {
    try {
      return { __proto__: null, value: call() };
    } catch (error) {
      return { __proto__: null, error };
    }
  };
  const callAsync = async (call) => {
    try {
      return { __proto__: null, value: await call() };
    } catch (error) {
      return { __proto__: null, error };
    }
  };
  const own = (error, field) =>
    error !== undefined && hasOwn(error, field) ? getOwnPropertyDescriptor(error, field).value : undefined;
  const isError = (error, Class, code, part) =>
    error instanceof Class &&
    native.isManagedIdentityError(error) &&
    own(error, "name") === Class.name &&
    own(error, "code") === code &&
    own(error, "errorCode") === code &&
    `${own(error, "errorMessage")}`.includes(part) &&
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
    const { kind, name } = pollutions[index];
    const failed = { __proto__: null };
    const check = (description, holds) => {
      if (!holds) failed[description] = true;
    };
    if (kind !== "method" && name !== undefined && name in Object.prototype) continue;
    let undo;
    try {
      undo = pollute[kind](name);
      // Not an AbortSignal of Node.js, which itself assigns properties.
      const signal = { aborted: false, addEventListener() {}, removeEventListener() {} };
      const misspelled = callSync(() => new ManagedIdentityApplication({ clientId: "x" }));
      const ids = { userAssignedClientId: "" };
      const empty = callSync(() => new ManagedIdentityApplication({ managedIdentityIdParams: ids }));
      const made = callSync(() => new ManagedIdentityApplication({ system: {} }));
      const invalid = await callAsync(() => app.acquireToken({ resource: "nonsense" }));
      const missing = await callAsync(() => app.getToken("https://not-found.example/.default"));
      const fresh = await callAsync(() =>
        app.acquireToken({ resource, forceRefresh: true, abortSignal: signal }),
      );
      const cached = await callAsync(() => app.acquireToken({ resource }));
      const byName = await callAsync(() => made.value.acquireToken(resource));
      const access = await callAsync(() => app.getToken(`${resource}/.default`, {}));
      const bearer = await callAsync(() => app.bearerToken(resource)());
      const source = callSync(() => app.getManagedIdentitySource());
      cleanUp(name, undo);
      undo = undefined;

      check(
        "a misspelled option",
        isError(misspelled.error, ManagedIdentityError, "invalid_configuration", "clientId"),
      );
      check(
        "an empty id",
        isError(empty.error, ManagedIdentityError, "missing_client_id", "userAssignedClientId"),
      );
      check("an invalid resource", isError(invalid.error, ManagedIdentityError, "invalid_resource", "URL"));
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
      check("another application's token", isToken(byName.value, true));
      check(
        "getToken's token",
        own(access.value, "token") === "a-token" && own(access.value, "refreshAfterTimestamp") === undefined,
      );
      check("a bearer token", bearer.value === "a-token");
      check("the source", source.value === "AppService");
    } catch (error) {
      cleanUp(name, undo);
      failed[`${error}`] = true;
    }
    const found = Object.keys(failed);
    if (found.length > 0) report({ kind, name, found });
  }
  report("all done");
}

const NAMES = fieldNames();
const METHODS = ["map", "filter", "find", "forEach", "push", "shift", "includes", "join", "slice", "some"];
const CASES = {
  "accessors on Object.prototype that throw": [{ kind: "accessor", names: NAMES }],
  "read-only values on Object.prototype": [{ kind: "readOnly", names: NAMES }],
  "elements and methods of Array.prototype": [
    { kind: "element", names: ["0", "1", "2"] },
    { kind: "method", names: METHODS },
    { kind: "iterator" },
  ],
  "a replaced Promise.prototype.then, and Object.prototype.then": [
    { kind: "otherThen" },
    { kind: "thenable" },
  ],
  "a frozen Error.prototype": [{ kind: "frozenError" }],
  "all prototypes frozen": [{ kind: "frozenAll" }],
};

test("the tested names include those of the source", (t) => {
  for (const name of [
    "abortSignal",
    "errorCode",
    "resource",
    "userAssignedClientId",
    "refreshOnMs",
    "failure",
  ]) {
    t.true(NAMES.includes(name), name);
  }
});

for (const [name, pollutions] of Object.entries(CASES)) {
  test(`results and errors are unaffected by: ${name}`, async (t) => {
    const env = await startServer(t);
    t.deepEqual(await runProcess(t, program, { argument: pollutions, env }), ["all done"]);
  });
}

test("prototypes that are frozen before the package is loaded have no effect", async (t) => {
  const env = await startServer(t);
  const [found] = await runProcess(
    t,
    async (scope) => {
      for (const { prototype } of [Object, Function, Array, Error, Promise, Map, Set])
        Object.freeze(prototype);
      const { ManagedIdentityApplication, isManagedIdentityError } = scope.native;
      const { fromCache } = await new ManagedIdentityApplication().acquireToken("https://vault.azure.net");
      const error = await new ManagedIdentityApplication()
        .acquireToken("nonsense")
        .catch((throwing) => throwing);
      scope.report([fromCache, isManagedIdentityError(error), error.name, error.code, error.errorCode]);
    },
    { env },
  );
  t.deepEqual(found, [false, true, "ManagedIdentityError", "invalid_resource", "invalid_resource"]);
});

test("environment variables are not read from Object.prototype", async (t) => {
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
