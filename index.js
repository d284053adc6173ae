"use strict";

/*
 * The face: the classes that callers see, over the native binding. It shapes arguments, throws what
 * crosses as a value, and remembers fresh results for as long as native code confirms them. It holds no
 * policy: what is valid, how long a token is fresh and what an error says is decided in src/.
 *
 * Everything on the way to a process's first token is in this one file, since each further file costs 0.3 ms
 * of a cold start; what only some callers need is in face/, loaded when they do.
 */

const binding = loadBinding();
const { generation } = binding;

const AUTHORITY = "https://login.microsoftonline.com/managed_identity/";

/** The shape of an error that a method of msal-node's would reject with. */
class AuthError extends Error {
  constructor(errorCode, correlationId, errorMessage = "", suberror = "") {
    super(errorMessage ? `${errorCode}: ${errorMessage}` : errorCode);
    this.name = "AuthError";
    this.errorCode = errorCode;
    this.errorMessage = errorMessage;
    this.subError = suberror;
    this.correlationId = correlationId;
  }
}

class ManagedIdentityError extends AuthError {
  /** The third parameter is the binding's record of a failure; callers have none. */
  constructor(errorCode, correlationId, failure) {
    super(
      errorCode,
      failure?.correlationId ?? correlationId,
      failure?.errorMessage ?? "No token could be had.",
    );
    this.name = "ManagedIdentityError";
    this.code = errorCode;
    this.retryable = failure?.retryable ?? false;
    for (const fact of ["statusCode", "source", "endpoint", "attempts"]) {
      if (failure?.[fact] !== undefined) this[fact] = failure[fact];
    }
    if (failure?.causeMessage !== undefined) {
      const cause = new Error(failure.causeMessage);
      cause.stack = `Error: ${failure.causeMessage}`; // It was met on another thread: the frames here are not its own.
      if (failure.causeCode !== undefined) cause.code = failure.causeCode;
      Object.defineProperty(this, "cause", { value: cause, writable: true, configurable: true });
    }
  }
}

const ManagedIdentityErrorCodes = Object.freeze({
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
  #fresh = new FreshTokens();
  /** The native calls under way that further callers may share, by resource. */
  #pending = new Map();

  constructor(configuration) {
    const ids = configuration?.managedIdentityIdParams;
    const system = configuration?.system;
    const client = system?.networkClient ?? undefined;
    const log = system?.loggerOptions?.loggerCallback ?? undefined;
    const options = {
      configuration,
      managedIdentityIdParams: ids,
      userAssignedClientId: ids?.userAssignedClientId,
      userAssignedResourceId: ids?.userAssignedResourceId,
      userAssignedObjectId: ids?.userAssignedObjectId,
      clientCapabilities: configuration?.clientCapabilities,
      system,
      disableInternalRetries: system?.disableInternalRetries,
      connectTimeout: system?.connectTimeout,
      requestTimeout: system?.requestTimeout,
      totalTimeout: system?.totalTimeout,
      networkClient: client,
      sendGetRequest: client?.sendGetRequestAsync,
      sendPostRequest: client?.sendPostRequestAsync,
      loggerOptions: system?.loggerOptions,
      loggerCallback: log,
      logLevel: system?.loggerOptions?.logLevel,
      piiLoggingEnabled: system?.loggerOptions?.piiLoggingEnabled,
    };
    const given = client === undefined && log === undefined ? undefined : require("./face/callbacks.js");
    const made = binding.createApplication(
      options,
      given?.callersClient(client),
      given?.numberOf(client, binding.newTransportId),
      given?.callersLog(log),
    );
    if (!(made instanceof binding.ManagedIdentityApplication)) {
      throw new ManagedIdentityError(made.errorCode, "", made);
    }
    this.#native = made;
  }

  /** Not an async function: for thousands who wait at once, the state of each is most of what they cost. */
  acquireToken(request) {
    try {
      const resource = typeof request === "string" ? request : request?.resource;
      const signal = listenable(request?.abortSignal);
      if (!isPlain(request) || signal === null) return this.#acquire(request, resource, signal);
      const token = this.#fresh.find(resource);
      return token === undefined
        ? this.#acquire(undefined, resource, signal)
        : Promise.resolve(result(token, true, nextCorrelationId()));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Asks native code. Callers of one moment who have no wishes share a call: that spares the event loop a
   * promise of native code's for each. */
  #acquire(wishes, resource, signal) {
    const now = Date.now();
    const shared = wishes === undefined ? this.#pending.get(resource) : undefined;
    if (shared?.isOpenAt(now)) return shared.join(signal).then(shared.settleForOther);
    const correlationId = nextCorrelationId();
    const fields = {
      resource,
      forceRefresh: wishes?.forceRefresh,
      claims: wishes?.claims,
      timeout: wishes?.timeout,
      abortSignal: signal === null ? false : undefined,
    };
    const reading = environment();
    const before = generation(); // Read first: what is cleared meanwhile must show.
    const acquired = this.#native.acquire(fields, correlationId, reading.native);
    if (!(acquired instanceof binding.PendingAcquisition)) {
      return Promise.resolve(this.#settle(acquired, resource, correlationId));
    }
    const call = new Call(acquired, now, before, reading);
    if (wishes === undefined) this.#share(resource, call);
    return call.join(signal).then((outcome) => this.#settle(outcome, resource, correlationId));
  }

  /** Turns an outcome into a result, or throws it. */
  #settle({ kind, token, failure }, resource, correlationId) {
    if (kind !== "Token") throw new ManagedIdentityError(failure.errorCode, correlationId, failure);
    this.#fresh.remember(resource, token);
    return result(token, token.fromCache, correlationId);
  }

  #share(resource, call) {
    this.#pending.set(resource, call);
    // One function for all who join: thousands of them would be what the garbage collector stops for.
    call.settleForOther = (outcome) => this.#settle(outcome, resource, nextCorrelationId());
    const settled = () => {
      if (this.#pending.get(resource) === call) this.#pending.delete(resource);
    };
    call.outcome.then(settled, settled);
  }

  getManagedIdentitySource() {
    return this.#native.sourceName(environment().native);
  }

  static clearCache() {
    binding.clearCache();
  }
}

/** Whether a request asks for nothing but a resource: what a remembered token can answer. */
function isPlain(request) {
  return (
    typeof request === "string" ||
    ((request?.forceRefresh === undefined || request.forceRefresh === false) &&
      request?.claims === undefined &&
      request?.timeout === undefined)
  );
}

/** A caller's signal, if there is one; null if it is none. Throws its reason if it is aborted. */
function listenable(signal) {
  return signal === undefined || signal === null ? undefined : require("./face/abort.js").listenable(signal);
}

/** Tokens that native code declared fresh, for one application. */
class FreshTokens {
  static #sweepFrom = 64;

  #tokens = new Map();
  #sweepAt = FreshTokens.#sweepFrom;

  find(resource) {
    const token = this.#tokens.get(resource);
    if (token === undefined) return undefined;
    if (token.generation === generation() && Date.now() < token.freshUntilMs) return token;
    this.#tokens.delete(resource);
    return undefined;
  }

  remember(resource, token) {
    if (token.freshUntilMs === 0) return;
    this.#tokens.set(resource, token);
    if (this.#tokens.size < this.#sweepAt) return;
    const now = Date.now();
    for (const [other, { freshUntilMs }] of this.#tokens) {
      if (freshUntilMs <= now) this.#tokens.delete(other);
    }
    this.#sweepAt = Math.max(FreshTokens.#sweepFrom, this.#tokens.size * 2);
  }
}

/** One native call that must wait, with the callers who wait for it. */
class Call {
  outcome;
  settleForOther;
  #native;
  #startedAt;
  #generation;
  #reading;
  #variables;
  #waiting = 0;
  #released = false;

  constructor(pending, startedAt, before, reading) {
    this.#native = pending;
    this.#startedAt = startedAt;
    this.#generation = before;
    this.#reading = reading;
    this.#variables = pending.variables();
    this.outcome = pending.outcome();
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
    this.#waiting += 1;
    return signal === undefined ? this.outcome : require("./face/abort.js").unlessAborted(this, signal);
  }

  /** With nobody left to wait, the native call is let go, so that it does not keep the process alive. */
  leave() {
    this.#waiting -= 1;
    if (this.#waiting > 0) return;
    this.#released = true;
    this.#native.release();
  }
}

function result(token, fromCache, correlationId) {
  return {
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
  };
}

/** The variables that native code looks at, in the order in which it does. */
let environmentNames;
let environmentReading;

/** A reading of the environment; the same object for as long as nothing changes. */
function environment() {
  environmentNames ??= binding.environmentVariables();
  if (environmentReading === undefined || !isUnchanged(environmentReading, environmentNames.length)) {
    const { env } = process;
    const values = environmentNames.map((name) => env[name]?.toString());
    environmentReading = { values, native: new binding.Environment(values) };
  }
  return environmentReading;
}

/** Whether the first variables of a reading are still what they were. */
function isUnchanged({ values }, count) {
  const { env } = process; // A getter: it is asked once.
  for (let index = 0; index < count; index += 1) {
    if (env[environmentNames[index]] !== values[index]) return false;
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
 * What require() would load, without its search, which takes longer than loading; then what require() finds;
 * then the generated loader, for its message.
 */
function loadBinding() {
  const { platform, arch } = process;
  const flavours = { linux: ["-gnu", "-musl"], win32: ["-msvc"] }[platform] ?? [""];
  const isInstalled = /[\\/]node_modules[\\/][^\\/]+$/.test(__dirname);
  for (const flavour of flavours) {
    const host = `${platform}-${arch}${flavour}`;
    const name = `managed-identity-native-${host}`;
    try {
      if (!isInstalled) return require(name);
      const module = { exports: {} };
      process.dlopen(module, `${__dirname}/../${name}/managed-identity-native.${host}.node`);
      return module.exports;
    } catch {
      // Not installed, or for the other C library.
    }
  }
  return require("./binding.js");
}

module.exports.ManagedIdentityApplication = ManagedIdentityApplication;
module.exports.ManagedIdentityError = ManagedIdentityError;
module.exports.AuthError = AuthError;
module.exports.ManagedIdentityErrorCodes = ManagedIdentityErrorCodes;
module.exports.ManagedIdentitySourceNames = ManagedIdentitySourceNames;
module.exports.LogLevel = LogLevel;
module.exports.version = binding.version();
