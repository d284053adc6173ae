"use strict";

/*
 * The public classes, on top of the native binding. This layer shapes arguments, throws the failures that native
 * code returns as values, and memoizes fresh results for as long as native code confirms them. It contains no policy:
 * src/ decides which options are valid, how long a token is fresh, and what an error says.
 *
 * Everything that the first token of a process needs is in this one file, because each further file adds 0.3 ms to a
 * cold start. Code that only some callers need is in lib/ and is loaded on first use.
 */

const { binding } = require("./native-binding.js");
const { generation } = binding;

// Changes that a program makes to the prototypes of Object, Error, Array and Promise must not fail a call or change its
// outcome. Fields are therefore defined, not assigned; records and options are read without what they inherit from
// Object.prototype; arrays are read by index; and promises are awaited with the original `then`.
const { defineProperty, freeze, getPrototypeOf, hasOwn, keys } = Object;
const { call: uncurried } = Function.prototype;
const then = uncurried.bind(Promise.prototype.then);
const includes = uncurried.bind(Array.prototype.includes);
/** An object whose only fields are those that the program added to Object.prototype. */
const EMPTY_OBJECT = {};

/** Defines a field as an assignment would, even if a prototype has a setter or a read-only field of that name. */
function defineField(target, name, value, enumerable = true) {
  defineProperty(target, name, { __proto__: null, value, enumerable, writable: true, configurable: true });
}

/** Returns a record's own field; undefined if it is absent, null or inherited. */
function own(record, name) {
  return record !== undefined && record !== null && hasOwn(record, name)
    ? (record[name] ?? undefined)
    : undefined;
}

/** Returns a caller's option: the object's own or its class's, but not one inherited from Object.prototype. */
function option(object, name) {
  if (object === undefined || object === null) return undefined;
  return name in EMPTY_OBJECT && !isOwnOrOfClass(object, name) ? undefined : object[name];
}

function isOwnOrOfClass(object, name) {
  for (let holder = object; holder !== null; holder = getPrototypeOf(holder)) {
    if (hasOwn(holder, name)) return holder === object || getPrototypeOf(holder) !== null;
  }
  return false;
}

/** Prevents promises from treating a result as a promise if the program added `then` to Object.prototype. */
function blockThenable(object) {
  if ("then" in EMPTY_OBJECT) defineField(object, "then", undefined, false);
  return object;
}

/** The audience of a managed identity token that is used as a client assertion. */
const TOKEN_EXCHANGE_AUDIENCE = "api://AzureADTokenExchange";
const AUTHORITY = "https://login.microsoftonline.com/managed_identity/";

/** The base class, with the fields of msal-node's class of this name. */
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

/** Marks the errors of every copy of this package for `isManagedIdentityError`. */
const BRAND = Symbol.for("managed-identity-native.ManagedIdentityError");
/** Fields that an error has only if their values are known. */
const OPTIONAL_FIELDS = ["statusCode", "errorNo", "source", "endpoint", "attempts", "retryAfterMs"];

class ManagedIdentityError extends AuthError {
  /** `details` are a caller's details or the binding's failure record. */
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
    for (let index = 0; index < OPTIONAL_FIELDS.length; index += 1) {
      const value = own(details, OPTIONAL_FIELDS[index]);
      if (value !== undefined) defineField(this, OPTIONAL_FIELDS[index], value);
    }
    // msal-node's ServerError has the HTTP status under this name.
    const status = own(details, "statusCode");
    if (status !== undefined) defineField(this, "status", status);
    const metadata = own(details, "metadata");
    if (metadata !== undefined) defineField(this, "metadata", frozenMetadata(metadata));
    const cause = causeOf(details);
    if (cause !== undefined) defineField(this, "cause", cause, false);
  }
}
defineProperty(ManagedIdentityError.prototype, BRAND, { __proto__: null, value: true });

/** Returns the cause in a caller's details, or creates the one that a failure record describes. */
function causeOf(details) {
  const message = own(details, "causeMessage");
  if (message === undefined) return own(details, "cause");
  const cause = new Error(message);
  defineField(cause, "stack", `Error: ${message}`, false); // It occurred on another thread, so this stack is not its own.
  const code = own(details, "causeCode");
  if (code !== undefined) defineField(cause, "code", code);
  return cause;
}

/** getToken's error if there is no managed identity. ChainedTokenCredential recognizes it by its name. */
class CredentialUnavailableError extends ManagedIdentityError {
  constructor(errorCode, correlationId, details) {
    super(errorCode, correlationId, details);
    defineField(this, "name", "CredentialUnavailableError");
  }
}

function isManagedIdentityError(error) {
  try {
    // Accepts errors of any realm, but not a proxy, whose traps can return anything.
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
  #memo = new TokenMemo();
  /** The memo for CAE-enabled calls, whose tokens are cached separately. */
  #caeMemo;
  #onBackgroundTokenRefresh;
  #isObserving = false;
  /** The environment that this application last used, and how many variables, from the front, determined the source. */
  #environment;
  #relevantVariables = 0;
  /** A queue created after the logger and observer callbacks, so that their messages arrive before the outcome. */
  #ownQueue;

  constructor(configuration) {
    const ids = option(configuration, "managedIdentityIdParams");
    const system = option(configuration, "system");
    const client = option(system, "networkClient") ?? undefined;
    const loggerOptions = option(system, "loggerOptions");
    const log = option(loggerOptions, "loggerCallback") ?? undefined;
    const retryOptions = option(system, "retryOptions");
    const cache = option(configuration, "cache") ?? undefined;
    const cachePlugin = option(cache, "cachePlugin");
    rejectMisspeltIds(configuration, ids);
    const options = {
      configuration,
      managedIdentityIdParams: ids,
      userAssignedClientId: option(ids, "userAssignedClientId"),
      userAssignedResourceId: option(ids, "userAssignedResourceId"),
      userAssignedObjectId: option(ids, "userAssignedObjectId"),
      userAssignedId: option(ids, "userAssignedId"),
      clientCapabilities: option(configuration, "clientCapabilities"),
      // Any object is accepted as a configuration, and a regular expression has a `source` of its own.
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
    const adapters =
      client === undefined && log === undefined ? undefined : require("./callback-adapters.js");
    const native = binding.createApplication(
      options,
      adapters?.wrapNetworkClient(client, blockThenable),
      adapters?.networkClientId(client, binding.newTransportId),
      adapters?.wrapLoggerCallback(log),
    );
    if (hasOwn(native, "errorCode")) throw new ManagedIdentityError(native.errorCode, "", native);
    if (cache !== undefined) {
      require("./cache-plugin.js").attachCache(
        native,
        options.cacheDirectory,
        cachePlugin,
        binding.newTransportId,
      );
    }
    this.#native = native;
    this.#onBackgroundTokenRefresh = options.onBackgroundTokenRefresh ?? undefined;
    if (log !== undefined) this.#ownQueue = new CompletionQueue();
  }

  /** Not an async function: with thousands of concurrent calls, the state of each would be most of their cost. */
  acquireToken(request) {
    try {
      const safeRequest = isObjectPrototypePolluted() ? ownFields(request) : request;
      const resource = typeof safeRequest === "string" ? safeRequest : safeRequest?.resource;
      if (hasAcquireSubscribers()) {
        return channels.traceAcquire(resource, () => this.#acquire(this.#memo, safeRequest, resource));
      }
      return this.#acquire(this.#memo, safeRequest, resource);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  getToken(scopes, getTokenOptions) {
    try {
      const options = isObjectPrototypePolluted() ? ownFields(getTokenOptions) : getTokenOptions;
      const enableCae = options?.enableCae; // Read once, because it selects the memo and is sent to native code.
      const isCae = enableCae === true;
      if (isCae) this.#caeMemo ??= new TokenMemo();
      const memo = isCae ? this.#caeMemo : this.#memo;
      if (typeof scopes === "string" && hasNoOptions(options, enableCae) && !hasAcquireSubscribers()) {
        const token = memo.get(scopes);
        if (token !== undefined) return Promise.resolve(blockThenable(toAccessToken(token)));
      }
      const { scope, request } = require("./token-credential.js").toTokenRequest(scopes, options, enableCae);
      const acquire = () => this.#acquire(memo, request, scope, CredentialUnavailableError);
      return then(
        hasAcquireSubscribers() ? channels.traceAcquire(scope, acquire) : acquire(),
        resultToAccessToken,
      );
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Resolves with a memoized or a native result. `Unavailable` is getToken's error class. */
  #acquire(memo, request, resource, Unavailable) {
    if (hasMisspeltField(request)) rejectMisspeltField(request);
    const signal = typeof request === "string" ? undefined : checkAbortSignal(request?.abortSignal);
    const isResourceOnly = typeof resource === "string" && signal !== null && isResourceOnlyRequest(request);
    const forceRefresh = typeof request === "string" ? undefined : request?.forceRefresh;
    const isCacheable = isResourceOnly && (forceRefresh === undefined || forceRefresh === false);
    const token = isCacheable ? memo.get(resource) : undefined;
    if (token !== undefined) {
      return Promise.resolve(toAuthenticationResult(token, true, token.metadataOfHit, nextCorrelationId()));
    }

    // Calls within one millisecond that pass only a resource share one native call, hence one native waiter.
    const pending = Unavailable === undefined ? memo.pendingCalls : memo.pendingCredentialCalls;
    const now = Date.now();
    const shared = isCacheable ? pending.get(resource) : undefined;
    if (shared?.canShareAt(now)) return then(shared.wait(signal), shared.settleShared);
    const correlationId = nextCorrelationId();
    const environment = this.#currentEnvironment();
    const settle = (outcome, id) => {
      if (outcome.kind === "Token") {
        const token = normalizeToken(outcome.token);
        // A test moved its clock past the token's expiry during the call.
        if (token.expiresOnMs > now && !isSystemClock(Date.now) && token.expiresOnMs <= Date.now()) {
          return this.#acquire(memo, request, resource, Unavailable);
        }
        // A late response for an earlier environment must not replace a token of the current one.
        if (environment === this.#environment) memo.set(resource, token);
        return toAuthenticationResult(token, token.fromCache, token.metadata, id);
      }
      const { failure } = outcome;
      const Failure = (failure.unavailable && Unavailable) || ManagedIdentityError;
      const error = new Failure(failure.errorCode, id, failure);
      channels?.recordFailure(error, id);
      throw error;
    };
    const generationAtStart = generation(); // Read first, so that a clear during the call is noticed.
    forgetReplacedTokens(generationAtStart);
    this.#observe();
    sharedQueue ??= new CompletionQueue();
    const queue = this.#ownQueue ?? sharedQueue;
    const call = new PendingCall(queue, now, generationAtStart, environment);
    const outcomeOrVariables = this.#native.acquire(
      resource,
      forceRefresh,
      isResourceOnly && Unavailable === undefined
        ? undefined
        : extraRequestFields(request, resource, signal, Unavailable !== undefined),
      correlationId,
      environment.native,
      queue.native,
      call.number,
      typeof now === "number" ? now : undefined,
    );
    if (typeof outcomeOrVariables !== "number")
      return Promise.resolve(settle(outcomeOrVariables, correlationId));
    // A getter of the request can have started a call that read another environment.
    if (environment === this.#environment) this.#relevantVariables = outcomeOrVariables;
    call.start(outcomeOrVariables);
    // One function for all waiters: thousands of closures would cause long garbage collections.
    if (isCacheable) {
      call.allowSharing(pending, resource, (outcome) => settle(outcome, nextCorrelationId()));
      // A millisecond of a stopped test clock can last for minutes.
      if (!isSystemClock(Date.now)) then(Promise.resolve(), () => call.stopSharing());
    }
    return then(call.wait(signal), (outcome) => settle(outcome, correlationId));
  }

  /** Returns the last snapshot of the environment, or a new one if a relevant variable changed. */
  #currentEnvironment() {
    if (this.#environment === undefined || !isCurrent(this.#environment, this.#relevantVariables)) {
      const environment = snapshotEnvironment();
      if (environment !== this.#environment) {
        // The memoized tokens belong to another environment.
        this.#memo.clear();
        this.#caeMemo?.clear();
      }
      this.#environment = environment;
      this.#relevantVariables = environmentNames.length;
    }
    return this.#environment;
  }

  /** Subscribes to native events once a callback or a channel subscriber needs them. */
  #observe() {
    if (this.#isObserving || !(this.#onBackgroundTokenRefresh || channels?.hasNativeSubscribers())) return;
    this.#isObserving = true;
    const onRefresh = this.#onBackgroundTokenRefresh;
    this.#native.observe((event) => {
      try {
        if (event.kind === "refresh" && onRefresh !== undefined) notifyBackgroundRefresh(event, onRefresh);
        channels?.publish(event);
      } catch {
        // A failing subscriber must not end the process.
      }
    });
    this.#ownQueue = new CompletionQueue();
  }

  async isAvailable(options) {
    const found = await this.#native.probe(option(options, "timeout"), snapshotEnvironment().native);
    if (hasOwn(found, "errorCode")) {
      throw new ManagedIdentityError(found.errorCode, nextCorrelationId(), found);
    }
    return withoutNull(found, "reason");
  }

  bearerToken(resource, options) {
    if (typeof options !== "object" && options !== undefined) {
      const message = `The options of bearerToken must be an object, but are a ${typeof options}.`;
      return async () => throwError("invalid_configuration", message);
    }
    const request = options === undefined || options === null ? resource : { ...options, resource };
    // Drivers pass arguments of their own, which are ignored.
    return async () => (await this.acquireToken(request)).accessToken;
  }

  clientAssertion(resource = TOKEN_EXCHANGE_AUDIENCE) {
    return this.bearerToken(resource);
  }

  /** Returns the text that console.log prints. */
  [Symbol.for("nodejs.util.inspect.custom")](depth, options, inspect) {
    if (!(#native in this)) return this; // `this` is the prototype or a proxy.
    const describe = () => ({ identity: this.#native.identity(), source: this.getManagedIdentitySource() });
    return require("./inspect.js").inspectApplication(this, describe, depth, options, inspect);
  }

  getManagedIdentitySource() {
    return this.#native.sourceName(snapshotEnvironment().native);
  }

  async getManagedIdentitySourceAsync(options) {
    const source = this.getManagedIdentitySource();
    if (source !== ManagedIdentitySourceNames.DEFAULT_TO_IMDS) {
      return this.#native.hasSource(snapshotEnvironment().native) ? source : null;
    }
    const { available } = await this.isAvailable(options);
    return available ? ManagedIdentitySourceNames.IMDS : null;
  }

  static fromEnvironment(env, configuration) {
    return applicationFromEnvironment(env, configuration);
  }

  static clearCache() {
    binding.clearCache();
    forgetReplacedTokens(generation());
  }
}

// A class whose methods name the class itself would lose its name to the bundler; hence the functions after the classes.

function applicationFromEnvironment(env, configuration) {
  const { identityFromEnvironment } = require("./identity.js");
  const managedIdentityIdParams = identityFromEnvironment(env ?? process.env, {
    option,
    throwError,
    requireId,
  });
  return new ManagedIdentityApplication({ ...configuration, managedIdentityIdParams });
}

/** MSAL.NET's factory methods. An instance is a value for the option managedIdentityIdParams. */
class ManagedIdentityId {
  constructor(name, id) {
    if (name !== undefined) defineField(this, name, requireId(id, name));
    freeze(this);
  }

  static systemAssigned() {
    return createId();
  }

  static withUserAssignedClientId(id) {
    return createId("userAssignedClientId", id);
  }

  static withUserAssignedResourceId(id) {
    return createId("userAssignedResourceId", id);
  }

  static withUserAssignedObjectId(id) {
    return createId("userAssignedObjectId", id);
  }
}

function createId(name, id) {
  return new ManagedIdentityId(name, id);
}

function throwError(errorCode, errorMessage) {
  throw new ManagedIdentityError(errorCode, "", { errorMessage });
}

/** Returns an id if native code accepts it, and throws otherwise. `name` names its option or variable. */
function requireId(id, name) {
  const failure = binding.checkId(name, id);
  if (failure !== null) throw new ManagedIdentityError(failure.errorCode, "", failure);
  return id;
}

/** Rejects misspelt keys that would silently select the system-assigned identity. */
function rejectMisspeltIds(configuration, ids) {
  const mayBeId = /[iI][dD]$|^(?!managedIdentityIdParams$)[mM]anaged/;
  const isNotId = /^(?!userAssigned(Client|Resource|Object)?Id$)/;
  if (!hasKey(configuration, mayBeId) && !hasKey(ids, isNotId)) return;
  require("./identity.js").rejectMisspelt(configuration, ids, { own, throwError });
}

/** Whether an object has a key that matches. */
function hasKey(object, form) {
  if (typeof object !== "object" || object === null) return false;
  const names = keys(object);
  for (let index = 0; index < names.length; index += 1) {
    if (form.test(names[index])) return true;
  }
  return false;
}

/** Whether a request has a misspelt field, which must not be ignored. */
function hasMisspeltField(request) {
  return (
    typeof request !== "string" &&
    request !== undefined &&
    request !== null &&
    ((request.signal !== undefined && hasOwn(request, "signal")) ||
      (request.scope !== undefined && hasOwn(request, "scope")))
  );
}

function rejectMisspeltField({ signal, scope }) {
  const isAbsent = (value) => value === undefined || value === null;
  if (isAbsent(signal) && isAbsent(scope)) return;
  const message = isAbsent(signal)
    ? "scope is not a field of a request: give the resource as resource, or a list of one scope as scopes."
    : "signal is not a field of a request: give the signal as abortSignal.";
  throw new ManagedIdentityError("invalid_configuration", nextCorrelationId(), { errorMessage: message });
}

/** Whether Object.prototype has a field of a request or of getToken's options. */
function isObjectPrototypePolluted() {
  return (
    "resource" in EMPTY_OBJECT ||
    "scopes" in EMPTY_OBJECT ||
    "forceRefresh" in EMPTY_OBJECT ||
    "claims" in EMPTY_OBJECT ||
    "abortSignal" in EMPTY_OBJECT ||
    "timeout" in EMPTY_OBJECT ||
    "tenantId" in EMPTY_OBJECT ||
    "enableCae" in EMPTY_OBJECT ||
    "retryIdentityNotFound" in EMPTY_OBJECT ||
    "requestOptions" in EMPTY_OBJECT ||
    "signal" in EMPTY_OBJECT ||
    "scope" in EMPTY_OBJECT
  );
}

/** Copies a request or getToken's options without the fields of Object.prototype. */
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

/** The diagnostics channels, once a subscriber is possible. */
let channels;
let wasCheckedThisTurn = false;

/** Whether the start or the end of a call must be published. */
function hasAcquireSubscribers() {
  return (channels ?? openChannels())?.hasAcquireSubscribers();
}

/**
 * Loads the channels if Node.js has loaded node:diagnostics_channel: before, there cannot be a subscriber, and loading
 * the module takes a tenth of the time to the first token. Checks once in each turn of the event loop.
 */
function openChannels() {
  if (wasCheckedThisTurn) return undefined;
  wasCheckedThisTurn = true;
  const loaded = process.moduleLoadList;
  if (loaded === undefined || includes(loaded, "NativeModule diagnostics_channel")) {
    channels = require("./diagnostics-channels.js");
  } else {
    // A replaced setImmediate may return anything.
    globalThis
      .setImmediate?.(() => {
        wasCheckedThisTurn = false;
      })
      ?.unref?.();
  }
  return channels;
}

/** Whether a request has only a resource and perhaps `forceRefresh`. */
function isResourceOnlyRequest(request) {
  return (
    typeof request === "string" ||
    (request.claims === undefined &&
      request.timeout === undefined &&
      request.tenantId === undefined &&
      (request.enableCae === undefined || typeof request.enableCae === "boolean") &&
      request.retryIdentityNotFound === undefined)
  );
}

/** Returns the other fields of a request for native code. Some are only for getToken. */
function extraRequestFields(request, resource, signal, forCredential) {
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

/** Whether a memoized token satisfies getToken's options. */
function hasNoOptions(options, enableCae) {
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

/** Returns the caller's signal; undefined if absent, null if it is not a signal. Throws the reason of an aborted one. */
function checkAbortSignal(signal) {
  return signal === undefined || signal === null ? undefined : require("./abort.js").checkAbortSignal(signal);
}

/** The source text of the native `Date.now`. That of a bound function or a proxy has no name. */
const NATIVE_DATE_NOW = /^function now\(\)\s*\{\s*\[native code\]\s*\}$/;
/** The native `Date.now` of this realm, once it was seen. */
let nativeDateNow;

/**
 * Whether this `Date.now` returns the system time. Fake timers replace it, and then native code, which reads both
 * clocks, decides whether a token is fresh.
 */
function isSystemClock(now) {
  if (now === nativeDateNow) return true;
  if (typeof now !== "function" || !NATIVE_DATE_NOW.test(Function.prototype.toString.call(now))) return false;
  nativeDateNow = now;
  return true;
}

/**
 * How long a token is memoized at most. After that native code has to confirm it, and a sweep removes tokens that were
 * not requested again.
 */
const MEMO_LIFETIME_MS = 300_000;
/** From this number of memos on, they are also swept when their number has doubled. */
const MEMO_SWEEP_THRESHOLD = 64;

/** The memos of this thread that hold tokens, and the generation of all these tokens. */
const memos = new Set();
let generationOfMemos;
let nextMemoSweepMs = 0;
let nextMemoSweepSize = MEMO_SWEEP_THRESHOLD;

/** Clears this thread's memos if the cache was cleared or a token replaced since they were filled. */
function forgetReplacedTokens(current) {
  if (current === generationOfMemos) return;
  generationOfMemos = current;
  for (const memo of memos) memo.deref()?.clear();
  memos.clear();
}

/** Removes stale tokens from this thread's memos: an application may never request them again. */
function sweepMemos(now) {
  for (const memo of memos) {
    if (!memo.deref()?.sweep(now)) memos.delete(memo);
  }
  nextMemoSweepMs = now + MEMO_LIFETIME_MS;
  nextMemoSweepSize = Math.max(MEMO_SWEEP_THRESHOLD, memos.size * 2);
}

/** One application's tokens that native code declared fresh, and its pending calls. */
class TokenMemo {
  /** Native calls that further callers can share, by resource. getToken's are separate: their errors differ. */
  pendingCalls = new Map();
  pendingCredentialCalls = new Map();
  #tokens = new Map();
  /** A weak reference, so that an application's tokens are garbage-collected with it. */
  #reference;

  get(resource) {
    const token = this.#tokens.get(resource);
    if (token === undefined) return undefined;
    if (Date.now !== nativeDateNow && !isSystemClock(Date.now)) return undefined;
    if (token.generation === generation() && Date.now() < token.freshUntilMs) return token;
    this.#tokens.delete(resource);
    return undefined;
  }

  clear() {
    this.#tokens.clear();
  }

  /** Removes stale tokens. Returns whether any token is left. */
  sweep(now) {
    for (const [resource, { freshUntilMs }] of this.#tokens) {
      if (freshUntilMs <= now) this.#tokens.delete(resource);
    }
    return this.#tokens.size > 0;
  }

  set(resource, token) {
    if (token.freshUntilMs === 0 || typeof resource !== "string" || !isSystemClock(Date.now)) return;
    const current = generation();
    forgetReplacedTokens(current);
    if (token.generation !== current) return; // The cache was cleared before the token arrived here.
    const now = Date.now();
    token.freshUntilMs = Math.min(token.freshUntilMs, now + MEMO_LIFETIME_MS);
    if (token.metadataOfHit === undefined)
      token.metadataOfHit = cacheHitMetadata(token.metadata.tokenEndpoint);
    this.#tokens.set(resource, token);
    this.#reference ??= new WeakRef(this);
    memos.add(this.#reference);
    const isDue = now >= nextMemoSweepMs || nextMemoSweepMs - now > MEMO_LIFETIME_MS; // The clock was set back.
    if (isDue || memos.size >= nextMemoSweepSize) sweepMemos(now);
  }
}

/** The pending calls of this thread, by number. */
const pendingByNumber = new Map();
let lastCallNumber = 0;

function nextCallNumber() {
  lastCallNumber = (lastCallNumber + 1) >>> 0; // A u32 in native code.
  return lastCallNumber;
}

/** The queue through which native code delivers outcomes. It keeps the process alive while a call is pending. */
class CompletionQueue {
  native = new binding.CompletionChannel(onComplete);
  #refCount = 0;

  ref(call) {
    if (this.#refCount === 0) this.native.setRef(true);
    this.#refCount += 1;
    pendingByNumber.set(call.number, call);
  }

  unref(call) {
    pendingByNumber.delete(call.number);
    this.#refCount -= 1;
    if (this.#refCount === 0) this.native.setRef(false);
  }
}

/** The queue that all applications without a logger or an observer share. */
let sharedQueue;

/** Native code's callback. It never throws. */
function onComplete(number, outcome) {
  if (outcome.kind === "Cleared") forgetReplacedTokens(generation());
  pendingByNumber.get(number)?.complete(outcome); // Absent if all of its waiters have left.
}

/** One pending native call and its waiters. */
class PendingCall {
  outcome;
  settleShared;
  number = nextCallNumber();
  #settle;
  #queue;
  #startedAt;
  #generation;
  #environment;
  #relevantVariables;
  #shared;
  #resource;
  #waiters = 0;
  #released = false;

  constructor(queue, startedAt, generationAtStart, environment) {
    this.#queue = queue;
    this.#startedAt = startedAt;
    this.#generation = generationAtStart;
    this.#environment = environment;
    this.outcome = new Promise((resolve) => {
      this.#settle = resolve;
    });
    if (this.#settle === undefined) {
      // The executor overflowed the stack and the promise swallowed the error, so throw it here.
      then(this.outcome, undefined, ignore);
      throw new RangeError("Maximum call stack size exceeded");
    }
  }

  /** Marks the call as pending. `variables` is how many environment variables, from the front, are relevant. */
  start(variables) {
    this.#relevantVariables = variables;
    this.#queue.ref(this);
  }

  /** Allows further calls for this resource to share this one; `settle` settles each of them. */
  allowSharing(pending, resource, settle) {
    this.settleShared = settle;
    this.#shared = pending;
    this.#resource = resource;
    pending.set(resource, this);
  }

  /**
   * Whether a call that starts now can share this one. It gets the timeout of the first call, so both must start in
   * the same millisecond, and native code would have to do the same for both.
   */
  canShareAt(now) {
    return (
      !this.#released &&
      this.#startedAt === now &&
      this.#generation === generation() &&
      isCurrent(this.#environment, this.#relevantVariables)
    );
  }

  /** Adds a waiter. Its promise settles with the outcome, or when its signal is aborted. */
  wait(signal) {
    this.#waiters += 1;
    return signal === undefined ? this.outcome : require("./abort.js").raceAbort(this, signal);
  }

  /** Calls a function with the outcome. */
  onceComplete(callback) {
    then(this.outcome, callback);
  }

  /** Makes later calls start native calls of their own. */
  stopSharing() {
    if (this.#shared?.get(this.#resource) === this) this.#shared.delete(this.#resource);
  }

  complete(outcome) {
    this.#close();
    this.#settle(blockThenable(outcome));
  }

  /** Removes a waiter. Without waiters the native call is released, so that it does not keep the process alive. */
  removeWaiter() {
    this.#waiters -= 1;
    if (this.#waiters > 0 || !pendingByNumber.has(this.number)) return;
    this.#released = true;
    this.#close();
    this.#queue.native.cancel(this.number);
  }

  #close() {
    this.#queue.unref(this);
    this.stopSharing();
  }
}

function ignore() {}

/** Returns the metadata of a call that the memo answered. */
function cacheHitMetadata(tokenEndpoint) {
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

/** Deletes a field that is null, which stands for absent in native records. */
function withoutNull(record, name) {
  if (record[name] === null) delete record[name];
  return record;
}

/** Returns the frozen metadata of a call, for callers. */
function frozenMetadata(metadata) {
  return freeze(withoutNull(metadata, "tokenSource"));
}

/** Prepares a native token record for the memo. */
function normalizeToken(token) {
  frozenMetadata(token.metadata);
  token.refreshOnMs ??= undefined;
  if (!hasOwn(token, "metadataOfHit")) defineField(token, "metadataOfHit", undefined);
  return token;
}

/** Returns a token as the Azure SDK's AccessToken. */
function toAccessToken({ accessToken, expiresOnMs, refreshOnMs }) {
  return {
    token: accessToken,
    expiresOnTimestamp: expiresOnMs,
    refreshAfterTimestamp: refreshOnMs,
    tokenType: "Bearer",
  };
}

/** Returns a result as the Azure SDK's AccessToken. */
function resultToAccessToken({ accessToken, expiresOn, refreshOn }) {
  return blockThenable(
    toAccessToken({ accessToken, expiresOnMs: expiresOn.getTime(), refreshOnMs: refreshOn?.getTime() }),
  );
}

/** Calls an application's callback with the outcome of a background refresh. */
async function notifyBackgroundRefresh(event, onRefresh) {
  try {
    const { correlationId } = event;
    const failure = own(event, "failure");
    const ended =
      failure === undefined
        ? {
            successful: true,
            result: toAuthenticationResult(
              normalizeToken(event.token),
              false,
              event.token.metadata,
              correlationId,
            ),
          }
        : {
            successful: false,
            error: new ManagedIdentityError(failure.errorCode, correlationId, failure),
          };
    await onRefresh(ended);
  } catch {
    // An error of the callback must not affect the application.
  }
}

function toAuthenticationResult(token, fromCache, metadata, correlationId) {
  return blockThenable({
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

/** The names of the environment variables that native code uses, in its order. */
let environmentNames;
let lastSnapshot;
/** The native reader of this thread's root certificates. */
let nodeRoots;

/** Returns a snapshot of the environment: the same object until a variable changes. */
function snapshotEnvironment() {
  environmentNames ??= binding.environmentVariables();
  if (lastSnapshot === undefined || !isCurrent(lastSnapshot, environmentNames.length)) {
    const { env } = process;
    const { length } = environmentNames;
    const values = Array.from({ length }, (_, index) => variable(env, environmentNames[index])?.toString());
    const native = new binding.Environment(values);
    if (native.canNeedRoots()) {
      nodeRoots ??= require("./node-roots.js").reader(binding.NodeRoots);
      native.setNodeRoots(nodeRoots);
    }
    lastSnapshot = { values, native };
  }
  return lastSnapshot;
}

/** Returns an environment variable; process.env inherits from Object.prototype, too. */
function variable(env, name) {
  return name in EMPTY_OBJECT && !hasOwn(env, name) ? undefined : env[name];
}

/** Whether the first `count` variables of a snapshot are unchanged. */
function isCurrent({ values }, count) {
  const { env } = process; // A getter, so it is read once.
  for (let index = 0; index < count; index += 1) {
    if (variable(env, environmentNames[index]) !== values[index]) return false;
  }
  return true;
}

/** The last six hexadecimal digits of a correlation id are a counter; native code draws the rest at random. */
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
