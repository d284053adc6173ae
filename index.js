"use strict";

/*
 * The face: the classes that callers see, over the native binding. It shapes arguments, throws what
 * crosses as a value, and remembers fresh results for as long as native code confirms them. It holds no
 * policy: what is valid, how long a token is fresh and what an error says is decided in src/.
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
      networkClient: system?.networkClient,
      sendGetRequest: system?.networkClient?.sendGetRequestAsync,
      sendPostRequest: system?.networkClient?.sendPostRequestAsync,
      loggerOptions: system?.loggerOptions,
      loggerCallback: system?.loggerOptions?.loggerCallback,
      logLevel: system?.loggerOptions?.logLevel,
      piiLoggingEnabled: system?.loggerOptions?.piiLoggingEnabled,
    };
    const client = callersClient(system?.networkClient);
    const writeLine = callersLog(system?.loggerOptions?.loggerCallback);
    const made = binding.createApplication(options, client?.send, client?.id, writeLine);
    if (!(made instanceof binding.ManagedIdentityApplication)) {
      throw new ManagedIdentityError(made.errorCode, "", made);
    }
    this.#native = made;
  }

  async acquireToken(request) {
    const resource = typeof request === "string" ? request : request?.resource;
    const signal = request?.abortSignal ?? undefined;
    const isSignal = signal !== undefined && isAbortSignal(signal);
    if (isSignal && signal.aborted) throw abortReason(signal);
    const plain = isPlain(request, resource) && (signal === undefined || isSignal);
    if (plain) {
      const token = this.#fresh.find(resource);
      if (token !== undefined) return result(token, true, nextCorrelationId());
    }

    const correlationId = nextCorrelationId();
    // Sharing a call spares the event loop a promise of native code's for each caller of one moment.
    const now = Date.now();
    let call = plain ? this.#pending.get(resource) : undefined;
    if (call === undefined || !call.isOpenAt(now)) {
      const fields = {
        resource,
        forceRefresh: request?.forceRefresh,
        claims: request?.claims,
        timeout: request?.timeout,
        abortSignal: signal === undefined ? undefined : isSignal,
      };
      const reading = environment();
      const before = generation(); // Read first: what is cleared meanwhile must show.
      const acquired = this.#native.acquire(fields, correlationId, reading.native);
      if (!(acquired instanceof binding.PendingAcquisition)) {
        return this.#settle(acquired, resource, correlationId);
      }
      call = new Call(acquired, now, before, reading);
      if (plain) this.#share(resource, call);
    }
    return this.#settle(await call.wait(isSignal ? signal : undefined), resource, correlationId);
  }

  /** Turns an outcome into a result, or throws it. */
  #settle({ kind, token, failure }, resource, correlationId) {
    if (kind !== "Token") throw new ManagedIdentityError(failure.errorCode, correlationId, failure);
    this.#fresh.remember(resource, token);
    return result(token, token.fromCache, correlationId);
  }

  #share(resource, call) {
    this.#pending.set(resource, call);
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
function isPlain(request, resource) {
  return (
    typeof resource === "string" &&
    (request.forceRefresh === undefined || request.forceRefresh === false) &&
    request.claims === undefined &&
    request.timeout === undefined
  );
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

  /** The outcome; with a signal, its reason if it is aborted before. */
  wait(signal) {
    this.#waiting += 1;
    if (signal === undefined) return this.outcome;
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#leave();
        reject(abortReason(signal));
      };
      const forget = whenAborted(signal, onAbort);
      const settled = (settle) => (value) => {
        forget();
        settle(value);
      };
      this.outcome.then(settled(resolve), settled(reject));
    });
  }

  /** With nobody left to wait, the native call is let go, so that it does not keep the process alive. */
  #leave() {
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

/** The numbers of the network clients that applications of this thread were given. */
const clientIds = new WeakMap();

/** A caller's network client as native code takes it: it never throws, and resolves a plain record. */
function callersClient(client) {
  if (
    typeof client?.sendGetRequestAsync !== "function" ||
    typeof client.sendPostRequestAsync !== "function"
  ) {
    return undefined; // Absent, or native code says what is wrong with it.
  }
  if (!clientIds.has(client)) clientIds.set(client, binding.newTransportId());
  const send = async ({ post, url, headers, body }) => {
    try {
      const answer = post
        ? await client.sendPostRequestAsync(url, { headers, body })
        : await client.sendGetRequestAsync(url, { headers });
      return {
        status: statusOf(answer),
        wwwAuthenticate: headerOf(answer, "www-authenticate"),
        retryAfter: headerOf(answer, "retry-after"),
        body: textOf(answer.body),
      };
    } catch (error) {
      return { code: codeOf(error), message: String(error?.message ?? "it rejected without an error") };
    }
  };
  return { send, id: clientIds.get(client) };
}

function statusOf(answer) {
  const status = answer?.status;
  if (Number.isInteger(status) && status >= 100 && status <= 599) return status;
  throw new TypeError("it resolved with something that has no HTTP status");
}

function headerOf({ headers }, name) {
  if (typeof headers?.get === "function") return headers.get(name)?.toString();
  const found = Object.entries(headers ?? {}).find(([key]) => key.toLowerCase() === name);
  return found?.[1] === undefined || found[1] === null ? undefined : String(found[1]);
}

function textOf(body) {
  if (body === undefined || body === null) return "";
  if (body instanceof Uint8Array) return Buffer.from(body).toString("utf8");
  return typeof body === "string" ? body : JSON.stringify(body);
}

/** A code as Node's socket errors have it; fetch has it on its cause. */
function codeOf(error) {
  const code = error?.code ?? error?.cause?.code;
  return typeof code === "string" ? code : undefined;
}

/** A caller's logger as native code takes it: neither an exception nor a rejection leaves it. */
function callersLog(callback) {
  if (typeof callback !== "function") return undefined;
  return (level, message) => {
    try {
      callback(level, message, false)?.then?.(undefined, () => {});
    } catch {
      // A logger that fails must not fail an acquisition.
    }
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

function isAbortSignal(value) {
  return (
    typeof value === "object" &&
    typeof value.aborted === "boolean" &&
    typeof value.addEventListener === "function" &&
    typeof value.removeEventListener === "function"
  );
}

function abortReason({ reason }) {
  return reason === undefined
    ? new DOMException("The acquisition of a token was aborted.", "AbortError")
    : reason;
}

/** Who waits with which signal. A signal gets one listener of ours, since Node.js warns of many. */
const waitingWith = new WeakMap();

/** Calls back once the signal is aborted; the function that it returns takes that back. */
function whenAborted(signal, callback) {
  let waiting = waitingWith.get(signal);
  if (waiting === undefined) {
    waiting = new Set();
    waitingWith.set(signal, waiting);
    waiting.onAbort = () => {
      if (waitingWith.get(signal) !== waiting) return; // A signal that calls back twice.
      waitingWith.delete(signal);
      for (const call of waiting) call();
    };
    signal.addEventListener("abort", waiting.onAbort, { once: true });
  }
  waiting.add(callback);
  return () => {
    if (waiting.delete(callback) && waiting.size === 0 && waitingWith.get(signal) === waiting) {
      waitingWith.delete(signal);
      signal.removeEventListener("abort", waiting.onAbort);
    }
  };
}

/**
 * The platform's package by its name first, which takes a fifth of the time that the generated loader takes;
 * the generated loader for everything else, and for its message.
 */
function loadBinding() {
  const platform = `managed-identity-native-${process.platform}-${process.arch}`;
  const flavours = { linux: ["-gnu", "-musl"], win32: ["-msvc"] }[process.platform] ?? [""];
  for (const flavour of flavours) {
    try {
      return require(platform + flavour);
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
