"use strict";

/*
 * The face: the classes that callers see, over the native binding. It shapes arguments, throws what
 * crosses as a value, and remembers fresh results for as long as native code confirms them. It holds no
 * policy: what is valid, how long a token is fresh and what an error says is decided in src/.
 *
 * Everything on the way to a process's first token is in this one file, since each further file costs 0.3 ms
 * of a cold start; what only some callers need is in lib/, loaded when they do.
 */

/** Of this package and of its add-on. */
const VERSION = "0.1.0";

const binding = loadBinding();
const { generation } = binding;

// What programs do to the prototypes of Object, Error, Array and Promise must neither fail a call nor change its
// outcome: fields are defined, not assigned; records and options are read where nothing is inherited from
// Object.prototype; arrays are read by index; and promises are awaited by the `then` that Node.js came with.
const { defineProperty, freeze, getPrototypeOf, hasOwn, keys } = Object;
const { call: uncurried } = Function.prototype;
const then = uncurried.bind(Promise.prototype.then);
const includes = uncurried.bind(Array.prototype.includes);
/** An object that has what others have put on Object.prototype, and nothing else. */
const PLAIN = {};

/** Defines a field as assigning to it would, whatever a prototype says about its name. */
function defineField(target, name, value, enumerable = true) {
  defineProperty(target, name, { __proto__: null, value, enumerable, writable: true, configurable: true });
}

/** A field of a record; undefined for one that is absent or null, or that the record would inherit. */
function own(record, name) {
  return record !== undefined && record !== null && hasOwn(record, name)
    ? (record[name] ?? undefined)
    : undefined;
}

/** A caller's option: the object's own or its class's, not what others have put on Object.prototype. */
function option(object, name) {
  if (object === undefined || object === null) return undefined;
  return name in PLAIN && !isOwnOrOfClass(object, name) ? undefined : object[name];
}

function isOwnOrOfClass(object, name) {
  for (let holder = object; holder !== null; holder = getPrototypeOf(holder)) {
    if (hasOwn(holder, name)) return holder === object || getPrototypeOf(holder) !== null;
  }
  return false;
}

/** Keeps promises from taking an object for a promise where others have given every object a `then`. */
function settled(object) {
  if ("then" in PLAIN) defineField(object, "then", undefined, false);
  return object;
}

/** What a managed identity's token must be for to stand in for an application's secret. */
const TOKEN_EXCHANGE = "api://AzureADTokenExchange";
const AUTHORITY = "https://login.microsoftonline.com/managed_identity/";

/** The shape of an error that a method of msal-node's would reject with. */
class AuthError extends Error {
  constructor(errorCode, correlationId, errorMessage = "", suberror = "") {
    super(errorMessage ? `${errorCode}: ${errorMessage}` : errorCode);
    defineField(this, "name", "AuthError");
    defineField(this, "errorCode", errorCode);
    defineField(this, "errorMessage", errorMessage);
    defineField(this, "subError", suberror);
    defineField(this, "correlationId", correlationId);
  }
}

/** By which `isManagedIdentityError` tells the errors of every copy of this package. */
const BRAND = Symbol.for("managed-identity-native.ManagedIdentityError");
/** The fields that an error has only if they are known. */
const FACTS = ["statusCode", "errorNo", "source", "endpoint", "attempts", "retryAfterMs"];

class ManagedIdentityError extends AuthError {
  /** The third parameter is a caller's details, or the binding's record of a failure. */
  constructor(errorCode, correlationId, details) {
    super(
      errorCode,
      own(details, "correlationId") ?? correlationId,
      own(details, "errorMessage") ?? own(details, "message") ?? "No token could be acquired.",
      own(details, "subError"),
    );
    defineField(this, "name", "ManagedIdentityError");
    defineField(this, "code", errorCode);
    defineField(this, "retryable", own(details, "retryable") ?? false);
    for (let index = 0; index < FACTS.length; index += 1) {
      const fact = own(details, FACTS[index]);
      if (fact !== undefined) defineField(this, FACTS[index], fact);
    }
    // By the name that msal-node's ServerError has.
    const status = own(details, "statusCode");
    if (status !== undefined) defineField(this, "status", status);
    const metadata = own(details, "metadata");
    if (metadata !== undefined) defineField(this, "metadata", sealed(metadata));
    const cause = causeOf(details);
    if (cause !== undefined) defineField(this, "cause", cause, false);
  }
}
defineProperty(ManagedIdentityError.prototype, BRAND, { __proto__: null, value: true });

/** The cause that details hold, or the one that a record of the binding describes. */
function causeOf(details) {
  const message = own(details, "causeMessage");
  if (message === undefined) return own(details, "cause");
  const cause = new Error(message);
  defineField(cause, "stack", `Error: ${message}`, false); // It was met on another thread: the frames here are not its own.
  const code = own(details, "causeCode");
  if (code !== undefined) defineField(cause, "code", code);
  return cause;
}

/** What getToken rejects with where there is no managed identity: ChainedTokenCredential goes by its name. */
class CredentialUnavailableError extends ManagedIdentityError {
  constructor(errorCode, correlationId, details) {
    super(errorCode, correlationId, details);
    defineField(this, "name", "CredentialUnavailableError");
  }
}

function isManagedIdentityError(error) {
  try {
    // Of any realm, and not a proxy, whose traps could say anything.
    return require("node:util").types.isNativeError(error) && error[BRAND] === true;
  } catch {
    return false;
  }
}

const ManagedIdentityErrorCodes = Object.freeze({
  exactlyOneScopeExpected: "exactly_one_scope_expected",
  invalidConfiguration: "invalid_configuration",
  invalidFileExtension: "invalid_file_extension",
  invalidFilePath: "invalid_file_path",
  invalidManagedIdentityIdType: "invalid_managed_identity_id_type",
  invalidResource: "invalid_resource",
  invalidSecret: "invalid_secret",
  invalidServerThumbprint: "invalid_server_thumbprint",
  managedIdentityFailedResponse: "managed_identity_failed_response",
  managedIdentityUnreachableNetwork: "managed_identity_unreachable_network",
  missingId: "missing_client_id",
  networkUnavailable: "network_unavailable",
  platformNotSupported: "platform_not_supported",
  unableToCreateAzureArc: "unable_to_create_azure_arc",
  unableToCreateCloudShell: "unable_to_create_cloud_shell",
  unableToCreateSource: "unable_to_create_source",
  unableToReadSecretFile: "unable_to_read_secret_file",
  urlParseError: "url_parse_error",
  userAssignedManagedIdentityNotConfirmed: "user_assigned_managed_identity_not_confirmed",
  userAssignedNotAvailableAtRuntime: "user_assigned_not_available_at_runtime",
  wwwAuthenticateHeaderMissing: "www_authenticate_header_missing",
  wwwAuthenticateHeaderUnsupportedFormat: "www_authenticate_header_unsupported_format",
  MsiEnvironmentVariableUrlMalformedErrorCodes: Object.freeze({
    AZURE_POD_IDENTITY_AUTHORITY_HOST: "azure_pod_identity_authority_host_url_malformed",
    IDENTITY_ENDPOINT: "identity_endpoint_url_malformed",
    IMDS_ENDPOINT: "imds_endpoint_url_malformed",
    MSI_ENDPOINT: "msi_endpoint_url_malformed",
  }),
});

const ManagedIdentitySourceNames = Object.freeze({
  APP_SERVICE: "AppService",
  AZURE_ARC: "AzureArc",
  CLOUD_SHELL: "CloudShell",
  DEFAULT_TO_IMDS: "DefaultToImds",
  IMDS: "Imds",
  MACHINE_LEARNING: "MachineLearning",
  SERVICE_FABRIC: "ServiceFabric",
  WORKLOAD_IDENTITY: "WorkloadIdentity",
});

const LogLevel = Object.freeze({
  Error: 0,
  Warning: 1,
  Info: 2,
  Verbose: 3,
  Trace: 4,
  0: "Error",
  1: "Warning",
  2: "Info",
  3: "Verbose",
  4: "Trace",
});

class ManagedIdentityApplication {
  #native;
  #desk = new Desk();
  /** That of callers who handle claims challenges: their tokens are others. */
  #deskOfCae;
  #onBackgroundTokenRefresh;
  #isObserved = false;
  /** What this application last read of the environment, and how many of the variables, from the front, decided. */
  #reading;
  #variables = 0;
  /** For what is logged or observed to come in before its outcome, its way in must be the younger one. */
  #arrivalsOfOwn;

  constructor(configuration) {
    const ids = option(configuration, "managedIdentityIdParams");
    const system = option(configuration, "system");
    const client = option(system, "networkClient") ?? undefined;
    const loggerOptions = option(system, "loggerOptions");
    const log = option(loggerOptions, "loggerCallback") ?? undefined;
    const retryOptions = option(system, "retryOptions");
    const cache = option(configuration, "cache") ?? undefined;
    const cachePlugin = option(cache, "cachePlugin");
    refuseMisspeltIds(configuration, ids);
    const options = {
      configuration,
      managedIdentityIdParams: ids,
      userAssignedClientId: option(ids, "userAssignedClientId"),
      userAssignedResourceId: option(ids, "userAssignedResourceId"),
      userAssignedObjectId: option(ids, "userAssignedObjectId"),
      userAssignedId: option(ids, "userAssignedId"),
      clientCapabilities: option(configuration, "clientCapabilities"),
      // Every regular expression has a `source`, and objects of any kind are taken for a configuration.
      source: configuration instanceof RegExp ? undefined : option(configuration, "source"),
      cache,
      cacheDirectory: option(cache, "directory"),
      cachePlugin,
      beforeCacheAccess: option(cachePlugin, "beforeCacheAccess"),
      afterCacheAccess: option(cachePlugin, "afterCacheAccess"),
      system,
      disableInternalRetries: option(system, "disableInternalRetries"),
      retryOptions,
      maxRetries: option(retryOptions, "maxRetries"),
      retryDelayInMs: option(retryOptions, "retryDelayInMs"),
      maxRetryDelayInMs: option(retryOptions, "maxRetryDelayInMs"),
      connectTimeout: option(system, "connectTimeout"),
      requestTimeout: option(system, "requestTimeout"),
      totalTimeout: option(system, "totalTimeout"),
      networkClient: client,
      sendGetRequest: option(client, "sendGetRequestAsync"),
      sendPostRequest: option(client, "sendPostRequestAsync"),
      loggerOptions,
      loggerCallback: log,
      logLevel: option(loggerOptions, "logLevel"),
      piiLoggingEnabled: option(loggerOptions, "piiLoggingEnabled"),
      onBackgroundTokenRefresh: option(system, "onBackgroundTokenRefresh"),
      enableAzureProxy: option(system, "enableAzureProxy"),
    };
    const given = client === undefined && log === undefined ? undefined : require("./lib/callback-adapters.js");
    const made = binding.createApplication(
      options,
      given?.callersClient(client, settled),
      given?.numberOf(client, binding.newTransportId),
      given?.callersLog(log),
    );
    if (hasOwn(made, "errorCode")) throw new ManagedIdentityError(made.errorCode, "", made);
    if (cache !== undefined) {
      require("./lib/cache-plugin.js").keep(made, options.cacheDirectory, cachePlugin, binding.newTransportId);
    }
    this.#native = made;
    this.#onBackgroundTokenRefresh = options.onBackgroundTokenRefresh ?? undefined;
    if (log !== undefined) this.#arrivalsOfOwn = new Arrivals();
  }

  /** Not an async function: for thousands who wait at once, the state of each is most of what they cost. */
  acquireToken(request) {
    try {
      const asked = isPolluted() ? ownFields(request) : request;
      const resource = typeof asked === "string" ? asked : asked?.resource;
      if (isTraced()) {
        return channels.traced(resource, () => this.#acquire(this.#desk, asked, resource));
      }
      return this.#acquire(this.#desk, asked, resource);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  getToken(scopes, givenOptions) {
    try {
      const options = isPolluted() ? ownFields(givenOptions) : givenOptions;
      const enableCae = options?.enableCae; // Read once: it chooses the desk, and goes along.
      const isCae = enableCae === true;
      if (isCae) this.#deskOfCae ??= new Desk();
      const desk = isCae ? this.#deskOfCae : this.#desk;
      if (typeof scopes === "string" && isEmpty(options, enableCae) && !isTraced()) {
        const token = desk.find(scopes);
        if (token !== undefined) return Promise.resolve(settled(credential(token)));
      }
      const { scope, request } = require("./lib/token-credential.js").asked(scopes, options, enableCae);
      const acquire = () => this.#acquire(desk, request, scope, CredentialUnavailableError);
      return then(isTraced() ? channels.traced(scope, acquire) : acquire(), credentialOf);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The result of a remembered token, or of what native code says; `Unavailable` is getToken's. */
  #acquire(desk, request, resource, Unavailable) {
    if (isMisspelt(request)) refuseMisspeltField(request);
    const signal = typeof request === "string" ? undefined : listenable(request?.abortSignal);
    const isBare = typeof resource === "string" && signal !== null && wishesNothingElse(request);
    const forceRefresh = typeof request === "string" ? undefined : request?.forceRefresh;
    const isPlain = isBare && (forceRefresh === undefined || forceRefresh === false);
    const token = isPlain ? desk.find(resource) : undefined;
    if (token !== undefined) {
      return Promise.resolve(result(token, true, token.metadataOfHit, nextCorrelationId()));
    }

    // Callers of one moment who have no wishes share a call: that spares native code a waiter for each.
    const pending = Unavailable === undefined ? desk.pending : desk.pendingOfCredential;
    const now = Date.now();
    const shared = isPlain ? pending.get(resource) : undefined;
    if (shared?.isOpenAt(now)) return then(shared.join(signal), shared.settleForOther);
    const correlationId = nextCorrelationId();
    const reading = this.#readEnvironment();
    const settle = (outcome, id) => {
      if (outcome.kind === "Token") {
        const token = complete(outcome.token);
        // A test moved its clock past the token's end meanwhile: by that clock it is not valid any more.
        if (token.expiresOnMs > now && !isSystemsClock(Date.now) && token.expiresOnMs <= Date.now()) {
          return this.#acquire(desk, request, resource, Unavailable);
        }
        // An answer of an earlier environment, which came late, must not replace what a later one brought.
        if (reading === this.#reading) desk.remember(resource, token);
        return result(token, token.fromCache, token.metadata, id);
      }
      const { failure } = outcome;
      const Failure = (failure.unavailable && Unavailable) || ManagedIdentityError;
      const error = new Failure(failure.errorCode, id, failure);
      channels?.failed(error, id);
      throw error;
    };
    const before = generation(); // Read first: what is cleared meanwhile must show.
    forgetReplacedTokens(before);
    this.#observe();
    commonArrivals ??= new Arrivals();
    const arrivals = this.#arrivalsOfOwn ?? commonArrivals;
    const call = new Call(arrivals, now, before, reading);
    const acquired = this.#native.acquire(
      resource,
      forceRefresh,
      isBare && Unavailable === undefined
        ? undefined
        : wishesOf(request, resource, signal, Unavailable !== undefined),
      correlationId,
      reading.native,
      arrivals.native,
      call.number,
      typeof now === "number" ? now : undefined,
    );
    if (typeof acquired !== "number") return Promise.resolve(settle(acquired, correlationId));
    // A getter of the request may have made this application read another environment meanwhile.
    if (reading === this.#reading) this.#variables = acquired;
    call.begin(acquired);
    // One function for all who join: thousands of them would be what the garbage collector stops for.
    if (isPlain) {
      call.share(pending, resource, (outcome) => settle(outcome, nextCorrelationId()));
      // A millisecond of a clock that a test has stopped may last for minutes.
      if (!isSystemsClock(Date.now)) then(Promise.resolve(), () => call.shareNoLonger());
    }
    return then(call.join(signal), (outcome) => settle(outcome, correlationId));
  }

  /** The environment: the last reading, as long as what decided then has not changed since. */
  #readEnvironment() {
    if (this.#reading === undefined || !isUnchanged(this.#reading, this.#variables)) {
      const reading = environment();
      if (reading !== this.#reading) {
        // What is remembered is of another environment.
        this.#desk.forget();
        this.#deskOfCae?.forget();
      }
      this.#reading = reading;
      this.#variables = environmentNames.length;
    }
    return this.#reading;
  }

  /** Has native code tell what it does, from when somebody wants to know. */
  #observe() {
    if (this.#isObserved || !(this.#onBackgroundTokenRefresh || channels?.isObserved())) return;
    this.#isObserved = true;
    const onRefresh = this.#onBackgroundTokenRefresh;
    this.#native.observe((event) => {
      try {
        if (event.kind === "refresh" && onRefresh !== undefined) refreshed(event, onRefresh);
        channels?.publish(event);
      } catch {
        // An observer that fails must not end the process.
      }
    });
    this.#arrivalsOfOwn = new Arrivals();
  }

  async isAvailable(options) {
    const found = await this.#native.probe(option(options, "timeout"), environment().native);
    if (hasOwn(found, "errorCode")) {
      throw new ManagedIdentityError(found.errorCode, nextCorrelationId(), found);
    }
    return present(found, "reason");
  }

  bearerToken(resource, options) {
    if (typeof options !== "object" && options !== undefined) {
      const message = `The options of bearerToken must be an object, but are a ${typeof options}.`;
      return async () => refuse("invalid_configuration", message);
    }
    const request = options === undefined || options === null ? resource : { ...options, resource };
    // Drivers call it with arguments of their own: none of them is looked at.
    return async () => (await this.acquireToken(request)).accessToken;
  }

  clientAssertion(resource = TOKEN_EXCHANGE) {
    return this.bearerToken(resource);
  }

  /** What console.log shows. */
  [Symbol.for("nodejs.util.inspect.custom")](depth, options, inspect) {
    if (!(#native in this)) return this; // The prototype itself, or a proxy.
    const facts = () => ({ identity: this.#native.identity(), source: this.getManagedIdentitySource() });
    return require("./lib/inspect.js").shown(this, facts, depth, options, inspect);
  }

  getManagedIdentitySource() {
    return this.#native.sourceName(environment().native);
  }

  async getManagedIdentitySourceAsync(options) {
    const source = this.getManagedIdentitySource();
    if (source !== ManagedIdentitySourceNames.DEFAULT_TO_IMDS) {
      return this.#native.hasSource(environment().native) ? source : null;
    }
    const { available } = await this.isAvailable(options);
    return available ? ManagedIdentitySourceNames.IMDS : null;
  }

  static fromEnvironment(env, configuration) {
    const { namedBy } = require("./lib/identity.js");
    const managedIdentityIdParams = namedBy(env ?? process.env, { option, refuse, checkedId });
    return new ManagedIdentityApplication({ ...configuration, managedIdentityIdParams });
  }

  static clearCache() {
    binding.clearCache();
    forgetReplacedTokens(generation());
  }
}

/** MSAL.NET's factory methods; what they make is what an application takes as managedIdentityIdParams. */
class ManagedIdentityId {
  constructor(name, id) {
    if (name !== undefined) defineField(this, name, checkedId(id, name));
    freeze(this);
  }

  static systemAssigned() {
    return new ManagedIdentityId();
  }

  static withUserAssignedClientId(id) {
    return new ManagedIdentityId("userAssignedClientId", id);
  }

  static withUserAssignedResourceId(id) {
    return new ManagedIdentityId("userAssignedResourceId", id);
  }

  static withUserAssignedObjectId(id) {
    return new ManagedIdentityId("userAssignedObjectId", id);
  }
}

function refuse(errorCode, errorMessage) {
  throw new ManagedIdentityError(errorCode, "", { errorMessage });
}

/** An id that native code finds nothing wrong with; `name` says where it came from. */
function checkedId(id, name) {
  const failure = binding.checkId(name, id);
  if (failure !== null) throw new ManagedIdentityError(failure.errorCode, "", failure);
  return id;
}

/** Refuses keys that would silently lead to the system-assigned identity. */
function refuseMisspeltIds(configuration, ids) {
  const mayBeId = /[iI][dD]$|^(?!managedIdentityIdParams$)[mM]anaged/;
  const isNotId = /^(?!userAssigned(Client|Resource|Object)?Id$)/;
  if (!hasKey(configuration, mayBeId) && !hasKey(ids, isNotId)) return;
  require("./lib/identity.js").refuseMisspelt(configuration, ids, { own, refuse });
}

/** Whether an object has a key of this form. */
function hasKey(object, form) {
  if (typeof object !== "object" || object === null) return false;
  const names = keys(object);
  for (let index = 0; index < names.length; index += 1) {
    if (form.test(names[index])) return true;
  }
  return false;
}

/** Whether a request has a field that would be ignored and that a caller relies on. */
function isMisspelt(request) {
  return (
    typeof request !== "string" &&
    request !== undefined &&
    request !== null &&
    ((request.signal !== undefined && hasOwn(request, "signal")) ||
      (request.scope !== undefined && hasOwn(request, "scope")))
  );
}

function refuseMisspeltField({ signal, scope }) {
  const isAbsent = (value) => value === undefined || value === null;
  if (isAbsent(signal) && isAbsent(scope)) return;
  const message = isAbsent(signal)
    ? "scope is not a field of a request: give the resource as resource, or a list of one scope as scopes."
    : "signal is not a field of a request: give the signal as abortSignal.";
  throw new ManagedIdentityError("invalid_configuration", nextCorrelationId(), { errorMessage: message });
}

/** Whether others have given every object a field that a request, or getToken's options, could have. */
function isPolluted() {
  return (
    "resource" in PLAIN ||
    "scopes" in PLAIN ||
    "forceRefresh" in PLAIN ||
    "claims" in PLAIN ||
    "abortSignal" in PLAIN ||
    "timeout" in PLAIN ||
    "tenantId" in PLAIN ||
    "enableCae" in PLAIN ||
    "retryIdentityNotFound" in PLAIN ||
    "requestOptions" in PLAIN ||
    "signal" in PLAIN ||
    "scope" in PLAIN
  );
}

/** The fields of a request, or of getToken's options, without what others have put on Object.prototype. */
function ownFields(request) {
  if (typeof request !== "object" || request === null) return request;
  const requestOptions = option(request, "requestOptions");
  return {
    __proto__: null,
    resource: option(request, "resource"),
    scopes: option(request, "scopes"),
    forceRefresh: option(request, "forceRefresh"),
    claims: option(request, "claims"),
    abortSignal: option(request, "abortSignal"),
    timeout: option(request, "timeout"),
    tenantId: option(request, "tenantId"),
    enableCae: option(request, "enableCae"),
    retryIdentityNotFound: option(request, "retryIdentityNotFound"),
    requestOptions:
      requestOptions === undefined
        ? undefined
        : { __proto__: null, timeout: option(requestOptions, "timeout") },
    signal: option(request, "signal"),
    scope: option(request, "scope"),
  };
}

/** The channels of node:diagnostics_channel, once somebody can have subscribed. */
let channels;
let hasLooked = false;

/** Whether somebody wants to know of calls. */
function isTraced() {
  return (channels ?? openChannels())?.isTraced();
}

/**
 * Nobody has subscribed while Node.js itself has not loaded that module; loading it for nothing would be a tenth of
 * the time to the first token. Looked at once in a turn of the event loop, until it is there: any server loads it.
 */
function openChannels() {
  if (hasLooked) return undefined;
  hasLooked = true;
  const loaded = process.moduleLoadList;
  if (loaded === undefined || includes(loaded, "NativeModule diagnostics_channel")) {
    channels = require("./lib/diagnostics-channels.js");
  } else {
    // Those who replace timers need not give back one of Node.js's.
    globalThis
      .setImmediate?.(() => {
        hasLooked = false;
      })
      ?.unref?.();
  }
  return channels;
}

/** Whether a request asks for nothing but a resource, and perhaps a new token. */
function wishesNothingElse(request) {
  return (
    typeof request === "string" ||
    (request.claims === undefined &&
      request.timeout === undefined &&
      request.tenantId === undefined &&
      (request.enableCae === undefined || typeof request.enableCae === "boolean") &&
      request.retryIdentityNotFound === undefined)
  );
}

/** The rest of a request as native code takes it; some fields are getToken's alone. */
function wishesOf(request, resource, signal, forCredential) {
  return {
    scopes: resource === undefined || resource === null ? request?.scopes : undefined,
    claims: request?.claims,
    timeout: request?.timeout,
    tenantId: forCredential ? request.tenantId : undefined,
    enableCae: forCredential ? request.enableCae : undefined,
    retryIdentityNotFound: request?.retryIdentityNotFound,
    forCredential,
    abortSignal: signal === null ? false : undefined,
  };
}

/** Whether getToken's options ask for nothing that a remembered token could not answer. */
function isEmpty(options, enableCae) {
  return (
    options === undefined ||
    options === null ||
    (options.claims === undefined &&
      options.tenantId === undefined &&
      (enableCae === undefined || typeof enableCae === "boolean") &&
      options.abortSignal === undefined &&
      options.requestOptions === undefined)
  );
}

/** A caller's signal, if there is one; null if it is none. Throws its reason if it is aborted. */
function listenable(signal) {
  return signal === undefined || signal === null ? undefined : require("./lib/abort.js").listenable(signal);
}

/** How engines print their own `Date.now`; a function that is bound, or a proxy, has no name there. */
const SYSTEMS_NOW = /^function now\(\)\s*\{\s*\[native code\]\s*\}$/;
/** The `Date.now` of this realm as JavaScript defines it, once it was seen. */
let systemsNow;

/**
 * Whether this `Date.now` tells the system's time. The fake timers of a test replace it; a token that was remembered
 * is then judged by native code, which knows both clocks.
 */
function isSystemsClock(now) {
  if (now === systemsNow) return true;
  if (typeof now !== "function" || !SYSTEMS_NOW.test(Function.prototype.toString.call(now))) return false;
  systemsNow = now;
  return true;
}

/**
 * A token is remembered for so long at most: native code confirms it then, and whatever was not asked for again is
 * looked for and removed.
 */
const MEMO_LIFETIME_MS = 300_000;
/** From so many memos on they are also looked through when their number has doubled. */
const MEMO_SWEEP_THRESHOLD = 64;

/** The memos of this thread that hold tokens, and the generation that all of these tokens belong to. */
const memos = new Set();
let generationOfMemos;
let nextMemoSweepMs = 0;
let nextMemoSweepSize = MEMO_SWEEP_THRESHOLD;

/** Empties the memos of this thread if the cache was cleared, or a token in it replaced, since they were filled. */
function forgetReplacedTokens(current) {
  if (current === generationOfMemos) return;
  generationOfMemos = current;
  for (const memo of memos) memo.deref()?.forget();
  memos.clear();
}

/** Removes what is not fresh any more from the memos of this thread: the application may never ask for it again. */
function sweepMemos(now) {
  for (const memo of memos) {
    if (!memo.deref()?.sweep(now)) memos.delete(memo);
  }
  nextMemoSweepMs = now + MEMO_LIFETIME_MS;
  nextMemoSweepSize = Math.max(MEMO_SWEEP_THRESHOLD, memos.size * 2);
}

/** What one application remembers: tokens that native code declared fresh, and calls under way. */
class Desk {
  /** The native calls under way that further callers may share, by resource; those of getToken fail otherwise. */
  pending = new Map();
  pendingOfCredential = new Map();
  #tokens = new Map();
  /** Weak, so that an application that is garbage-collected takes its tokens with it. */
  #reference;

  find(resource) {
    const token = this.#tokens.get(resource);
    if (token === undefined) return undefined;
    if (Date.now !== systemsNow && !isSystemsClock(Date.now)) return undefined;
    if (token.generation === generation() && Date.now() < token.freshUntilMs) return token;
    this.#tokens.delete(resource);
    return undefined;
  }

  forget() {
    this.#tokens.clear();
  }

  /** Removes what is not fresh any more; tells whether anything is left. */
  sweep(now) {
    for (const [resource, { freshUntilMs }] of this.#tokens) {
      if (freshUntilMs <= now) this.#tokens.delete(resource);
    }
    return this.#tokens.size > 0;
  }

  remember(resource, token) {
    if (token.freshUntilMs === 0 || typeof resource !== "string" || !isSystemsClock(Date.now)) return;
    const current = generation();
    forgetReplacedTokens(current);
    if (token.generation !== current) return; // The cache was cleared while it was on its way here.
    const now = Date.now();
    token.freshUntilMs = Math.min(token.freshUntilMs, now + MEMO_LIFETIME_MS);
    if (token.metadataOfHit === undefined) token.metadataOfHit = metadataOfHit(token.metadata.tokenEndpoint);
    this.#tokens.set(resource, token);
    this.#reference ??= new WeakRef(this);
    memos.add(this.#reference);
    const isDue = now >= nextMemoSweepMs || nextMemoSweepMs - now > MEMO_LIFETIME_MS; // It was set back.
    if (isDue || memos.size >= nextMemoSweepSize) sweepMemos(now);
  }
}

/** The calls of this thread that wait, by number. */
const waiting = new Map();
let lastCallNumber = 0;

function nextCallNumber() {
  lastCallNumber = (lastCallNumber + 1) >>> 0; // As wide as native code's.
  return lastCallNumber;
}

/** Native code's way in, which keeps the process alive for as long as somebody waits. */
class Arrivals {
  native = new binding.Arrivals(arrive);
  #expected = 0;

  expect(call) {
    if (this.#expected === 0) this.native.keepAlive(true);
    this.#expected += 1;
    waiting.set(call.number, call);
  }

  expectNoLonger(call) {
    waiting.delete(call.number);
    this.#expected -= 1;
    if (this.#expected === 0) this.native.keepAlive(false);
  }
}

/** What applications share that have nobody who listens. */
let commonArrivals;

/** Called by native code; it never throws, and holds nothing but calls that wait. */
function arrive(number, outcome) {
  if (outcome.kind === "Cleared") forgetReplacedTokens(generation());
  waiting.get(number)?.end(outcome); // Without one, all who waited have left.
}

/** One native call that must wait, with the callers who wait for it. */
class Call {
  outcome;
  settleForOther;
  number = nextCallNumber();
  #settle;
  #arrivals;
  #startedAt;
  #generation;
  #reading;
  #variables;
  #shared;
  #resource;
  #callers = 0;
  #released = false;

  constructor(arrivals, startedAt, before, reading) {
    this.#arrivals = arrivals;
    this.#startedAt = startedAt;
    this.#generation = before;
    this.#reading = reading;
    this.outcome = new Promise((resolve) => {
      this.#settle = resolve;
    });
    if (this.#settle === undefined) {
      // So near to the end of the stack that it could not be called, of which only the promise knows.
      then(this.outcome, undefined, ignore);
      throw new RangeError("Maximum call stack size exceeded");
    }
  }

  /** It waits from now on. So many of the environment's variables decided what for. */
  begin(variables) {
    this.#variables = variables;
    this.#arrivals.expect(this);
  }

  /** Lets others who want this resource join, each settled by one function. */
  share(pending, resource, settle) {
    this.settleForOther = settle;
    this.#shared = pending;
    this.#resource = resource;
    pending.set(resource, this);
  }

  /**
   * Whether somebody who comes now may share it. All who do have the timeout of the first, so only at its
   * time; and only while native code would do the same for them.
   */
  isOpenAt(now) {
    return (
      !this.#released &&
      this.#startedAt === now &&
      this.#generation === generation() &&
      isUnchanged(this.#reading, this.#variables)
    );
  }

  /** What one more who waits for it waits for: its end, or that of their signal. */
  join(signal) {
    this.#callers += 1;
    return signal === undefined ? this.outcome : require("./lib/abort.js").unlessAborted(this, signal);
  }

  /** Calls back with the outcome. */
  whenEnded(callback) {
    then(this.outcome, callback);
  }

  /** Who comes from now on has a native call of its own. */
  shareNoLonger() {
    if (this.#shared?.get(this.#resource) === this) this.#shared.delete(this.#resource);
  }

  end(outcome) {
    this.#close();
    this.#settle(settled(outcome));
  }

  /** With nobody left to wait, the native call is let go, so that it does not keep the process alive. */
  leave() {
    this.#callers -= 1;
    if (this.#callers > 0 || !waiting.has(this.number)) return;
    this.#released = true;
    this.#close();
    this.#arrivals.native.release(this.number);
  }

  #close() {
    this.#arrivals.expectNoLonger(this);
    this.shareNoLonger();
  }
}

function ignore() {}

/** What is told of a call that a remembered token answered. */
function metadataOfHit(tokenEndpoint) {
  return Object.freeze({
    tokenSource: "Cache",
    cacheRefreshReason: "NotApplicable",
    durationTotalInMs: 0,
    durationInHttpInMs: 0,
    durationInCacheInMs: 0,
    attempts: 0,
    tokenEndpoint,
  });
}

/** A record of native code's as callers get it, without the fields that are absent. */
function present(record, name) {
  if (record[name] === null) delete record[name];
  return record;
}

/** The facts about a call, as callers get them. */
function sealed(metadata) {
  return freeze(present(metadata, "tokenSource"));
}

/** A token of native code, as it is remembered. */
function complete(token) {
  sealed(token.metadata);
  token.refreshOnMs ??= undefined;
  if (!hasOwn(token, "metadataOfHit")) defineField(token, "metadataOfHit", undefined);
  return token;
}

/** A token as the Azure SDK's clients take it. */
function credential({ accessToken, expiresOnMs, refreshOnMs }) {
  return {
    token: accessToken,
    expiresOnTimestamp: expiresOnMs,
    refreshAfterTimestamp: refreshOnMs,
    tokenType: "Bearer",
  };
}

/** The same, from a result. */
function credentialOf({ accessToken, expiresOn, refreshOn }) {
  return settled(
    credential({ accessToken, expiresOnMs: expiresOn.getTime(), refreshOnMs: refreshOn?.getTime() }),
  );
}

/** Tells an application's callback how a refresh behind its callers ended. */
async function refreshed(event, onRefresh) {
  try {
    const { correlationId } = event;
    const failure = own(event, "failure");
    const ended =
      failure === undefined
        ? {
            successful: true,
            result: result(complete(event.token), false, event.token.metadata, correlationId),
          }
        : {
            successful: false,
            error: new ManagedIdentityError(failure.errorCode, correlationId, failure),
          };
    await onRefresh(ended);
  } catch {
    // What it throws or rejects with is its own affair.
  }
}

function result(token, fromCache, metadata, correlationId) {
  return settled({
    authority: AUTHORITY,
    uniqueId: "",
    tenantId: "",
    scopes: [token.resource],
    account: null,
    idToken: "",
    idTokenClaims: {},
    accessToken: token.accessToken,
    fromCache,
    expiresOn: new Date(token.expiresOnMs),
    extExpiresOn: new Date(token.expiresOnMs),
    refreshOn: token.refreshOnMs === undefined ? undefined : new Date(token.refreshOnMs),
    correlationId,
    requestId: "",
    familyId: "",
    tokenType: "Bearer",
    state: "",
    cloudGraphHostName: "",
    msGraphHost: "",
    fromPlatformBroker: false,
    metadata,
  });
}

/** The variables that native code looks at, in the order in which it does. */
let environmentNames;
let environmentReading;
/** Where native code reads the trust roots of this thread. */
let nodeRoots;

/** A reading of the environment; the same object for as long as nothing changes. */
function environment() {
  environmentNames ??= binding.environmentVariables();
  if (environmentReading === undefined || !isUnchanged(environmentReading, environmentNames.length)) {
    const { env } = process;
    const { length } = environmentNames;
    const values = Array.from({ length }, (_, index) => variable(env, environmentNames[index])?.toString());
    const native = new binding.Environment(values);
    if (native.canNeedRoots()) {
      nodeRoots ??= require("./lib/node-roots.js").reader(binding.NodeRoots);
      native.setNodeRoots(nodeRoots);
    }
    environmentReading = { values, native };
  }
  return environmentReading;
}

/** A variable of the environment; process.env inherits from Object.prototype, too. */
function variable(env, name) {
  return name in PLAIN && !hasOwn(env, name) ? undefined : env[name];
}

/** Whether the first variables of a reading are still what they were. */
function isUnchanged({ values }, count) {
  const { env } = process; // A getter: it is asked once.
  for (let index = 0; index < count; index += 1) {
    if (variable(env, environmentNames[index]) !== values[index]) return false;
  }
  return true;
}

/** The last six hexadecimal digits of a GUID are counted; the rest is drawn by native code. */
const FIRST_COUNT = 0x100000;
const LAST_COUNT = 0xffffff;
let correlationIdPrefix;
let correlationIdCount = LAST_COUNT;

function nextCorrelationId() {
  if (correlationIdCount === LAST_COUNT) {
    correlationIdPrefix = binding.correlationIdPrefix();
    correlationIdCount = FIRST_COUNT;
  }
  correlationIdCount += 1;
  return correlationIdPrefix + correlationIdCount.toString(16);
}

/**
 * The add-on of the platform's package: where package managers put it, beside this one, which spares reading its
 * package.json; else by its name; else by the generated loader, which takes five times as long. Always by require:
 * who loads an add-on twice into one thread, past the cache of require, has two classes of one name.
 */
function loadBinding() {
  const { platform, arch } = process;
  const flavours = { linux: ["-gnu", "-musl"], win32: ["-msvc"] }[platform] ?? [""];
  const targets = flavours.map((flavour) => `${platform}-${arch}${flavour}`);
  const refusals = new Map();
  const found = (target, path) => {
    const name = `managed-identity-native-${target}`;
    try {
      const addOn = require(path(name));
      if (addOn.version() === VERSION) return addOn;
      throw new Error(`it is version ${addOn.version()}, and this package ${VERSION}`);
    } catch (error) {
      refusals.set(name, error);
      return undefined;
    }
  };
  for (const target of targets) {
    const beside = found(target, (name) => `${__dirname}/../${name}/managed-identity-native.${target}.node`);
    if (beside !== undefined) return beside;
  }
  for (const target of targets) {
    const named = found(target, (name) => name);
    if (named !== undefined) return named;
  }
  return require("./lib/load-native-binding.js").load(refusals);
}

module.exports.ManagedIdentityApplication = ManagedIdentityApplication;
module.exports.ManagedIdentityError = ManagedIdentityError;
module.exports.ManagedIdentityId = ManagedIdentityId;
module.exports.CredentialUnavailableError = CredentialUnavailableError;
module.exports.AuthError = AuthError;
module.exports.ManagedIdentityErrorCodes = ManagedIdentityErrorCodes;
module.exports.ManagedIdentitySourceNames = ManagedIdentitySourceNames;
module.exports.LogLevel = LogLevel;
module.exports.isManagedIdentityError = isManagedIdentityError;
module.exports.version = binding.version();
