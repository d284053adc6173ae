/**
 * Access tokens for Azure resources by managed identity, on every Azure host that has one.
 *
 * Names and shapes are those of `@azure/msal-node` 7, so that a service changes only its import line; additions are
 * marked **New**. Wherever a value is optional, `undefined` and, for untyped callers, `null` mean the same as leaving
 * it out. All durations are in milliseconds.
 *
 * @see https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/overview
 */

/**
 * The version of this package, as in its package.json.
 */
export declare const version: string;

/**
 * Acquires access tokens for one managed identity, from the cache of the process or from the host's identity
 * endpoint.
 *
 * An application is cheap: creating one does no I/O and starts no thread. All applications of the process, including
 * those in worker threads, share one cache and one set of requests in flight.
 *
 * @example
 * const app = new ManagedIdentityApplication();
 * const { accessToken } = await app.acquireToken("https://vault.azure.net");
 */
export declare class ManagedIdentityApplication {
  /**
   * Creates an application for the system-assigned identity, or for the identity in `managedIdentityIdParams`.
   *
   * Unknown keys are ignored, except where ignoring one would silently select another identity: an unknown key inside
   * `managedIdentityIdParams`, and an id at the top level. The environment is not read here, but whenever a token has
   * to be fetched.
   *
   * @param configuration - Identity, capabilities and system options. Default: every option's own default.
   * @throws {ManagedIdentityError} `invalid_managed_identity_id_type`: more than one id is given.
   * @throws {ManagedIdentityError} `missing_client_id`: an id is present but empty or not a string.
   * @throws {ManagedIdentityError} `invalid_configuration`: an option has the wrong type or is out of range; an id is
   * misspelt, has white space or quotation marks around it, or is the text `undefined` or `null`. The message names the
   * option.
   */
  constructor(configuration?: ManagedIdentityConfiguration | null);

  /**
   * Resolves with an access token for a resource.
   *
   * A fresh token comes from memory. A token whose lifetime is over two hours and half over is served at once and
   * refreshed in the background. A token with less than five minutes left is refreshed first; it is served if the
   * refresh fails or takes more than two seconds. However many callers want one token at a time, one request is sent.
   * Nothing is thrown synchronously, and failures are not cached.
   *
   * @param request - A resource (**New**), or an object with the resource and further options.
   * @returns A result that belongs to the caller: changing it does not affect other callers.
   * @throws {ManagedIdentityError} `invalid_resource`: the resource is neither an absolute URI nor a GUID.
   * @throws {ManagedIdentityError} `invalid_configuration`: another request field has the wrong type or is out of
   * range; the request has a field `signal` or `scope`, which are called `abortSignal` and `resource` here; the source
   * cannot honour an option; the environment has none of the sources that `source` allows; a workload identity has no
   * client id; or `AZURE_CLIENT_ID`, where it is used, is not an id.
   * @throws {ManagedIdentityError} `identity_endpoint_url_malformed`, `msi_endpoint_url_malformed`,
   * `imds_endpoint_url_malformed`, `azure_pod_identity_authority_host_url_malformed`: that environment
   * variable is not an http(s) URL.
   * @throws {ManagedIdentityError} `invalid_managed_identity_id_type`, `unable_to_create_cloud_shell`,
   * `user_assigned_not_available_at_runtime`, `user_assigned_managed_identity_not_confirmed`: the source does
   * not support this kind of identity.
   * @throws {ManagedIdentityError} `www_authenticate_header_missing`,
   * `www_authenticate_header_unsupported_format`, `platform_not_supported`, `invalid_file_extension`,
   * `invalid_file_path`, `unable_to_read_secret_file`, `invalid_secret`: Azure Arc's challenge could not be
   * answered.
   * @throws {ManagedIdentityError} `invalid_server_thumbprint`: Service Fabric's certificate is not the
   * pinned one.
   * @throws {ManagedIdentityError} `managed_identity_failed_response`: the endpoint's response has neither a
   * usable token nor an error code.
   * @throws {ManagedIdentityError} `managed_identity_unreachable_network`: the endpoint could not be reached.
   * @throws {ManagedIdentityError} `network_unavailable`: no response within one of the three timeouts.
   * @throws {ManagedIdentityError} The service's own code, such as `invalid_request`, if its response has one.
   * @throws The reason of `abortSignal` once it is aborted: an `AbortError` unless the caller gave another reason.
   * @see https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
   */
  acquireToken(
    request: string | ManagedIdentityRequestParams | ManagedIdentityScopesRequest,
  ): Promise<AuthenticationResult>;

  /**
   * **New.** Resolves with an access token for clients of the Azure SDK: an application is a `TokenCredential` of
   * `@azure/core-auth`, to be passed to a client as its `credential`.
   *
   * Cache and requests are the same as those of `acquireToken`. Where no other source is configured, and until the
   * Instance Metadata Service (IMDS) has responded once in this process, a probe of up to 1 s precedes a token request
   * to it, so that a chain of credentials moves on quickly outside Azure, even where another service responds at the
   * address of IMDS. If the connection is accepted but the probe gets no response in time, one token request without
   * retries follows; if that gets no response either, only the probe decides for the next 5 minutes.
   *
   * @param scopes - One scope, such as `"https://vault.azure.net/.default"`, or an array with one scope.
   * @param options - Further fields of the request. Default: none.
   * @throws {CredentialUnavailableError} There is no managed identity here; `ChainedTokenCredential` of
   * `@azure/identity` then tries its next credential. docs/azure-sdk.md lists when.
   * @throws {ManagedIdentityError} `exactly_one_scope_expected`: the array has no scope, or several.
   * @throws {ManagedIdentityError} `invalid_configuration`: an option has the wrong type, or `tenantId` is not the
   * tenant of the identity.
   * @throws {ManagedIdentityError} Everything else that `acquireToken` rejects with.
   * @throws The reason of `abortSignal`, once it is aborted.
   * @see https://learn.microsoft.com/javascript/api/@azure/core-auth/tokencredential
   */
  getToken(scopes: string | string[], options?: GetTokenOptions | null): Promise<AccessToken>;

  /**
   * **New.** Returns a function that resolves with a valid access token as a string, for libraries that accept a token
   * or password function, such as pg, mysql2, redis, tedious and OpenAI's `azureADTokenProvider`.
   *
   * Each call of the function is a call of `acquireToken`: a fresh token comes from memory. The function ignores its
   * arguments, so that drivers may pass their own.
   *
   * @param resource - The resource that the token is for, as for `acquireToken`.
   * @param options - Further fields of the request, read once and used by every call of the function, so that an
   * `abortSignal` among them also ends all later calls. Default: none. Limits: an object, else the function rejects
   * with `invalid_configuration`.
   * @returns A function that rejects with the errors of `acquireToken`; nothing is thrown here.
   * @example
   * const password = app.bearerToken("https://ossrdbms-aad.database.windows.net");
   * const pool = new pg.Pool({ user: "my-identity", password });
   */
  bearerToken(resource: string, options?: BearerTokenOptions | null): () => Promise<string>;

  /**
   * **New.** Returns a function that resolves with this identity's token as a client assertion, by which an application
   * of Microsoft Entra ID that trusts the identity (a federated identity credential) signs in without a secret of its
   * own.
   *
   * Pass it as `auth.clientAssertion` of msal-node's `ConfidentialClientApplication`, or as `getAssertion` of
   * `@azure/identity`'s `ClientAssertionCredential`; each call resolves with a valid token.
   *
   * @param resource - The audience of the assertion. Default: `"api://AzureADTokenExchange"`, the audience of the
   * public cloud; each national cloud has its own.
   * @returns A function that rejects with the errors of `acquireToken`.
   * @see https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
   */
  clientAssertion(resource?: string): () => Promise<string>;

  /**
   * **New.** Resolves with whether there is a managed identity endpoint here, by a probe that requests no token and
   * sends no secret.
   *
   * At a configured endpoint any HTTP response counts, except the response of a container host in place of the metadata
   * service (IMDS). At the default address of IMDS, a response that can only come from another service (another cloud,
   * a portal, a gateway) does not count, until IMDS has responded once in this process. Nothing else is cached. An
   * endpoint that cannot be reached, or an environment variable that cannot be used, results in `available: false` with
   * a reason, not in an error.
   *
   * @param options - How long to wait. Default: 1 000 ms.
   * @throws {ManagedIdentityError} `invalid_configuration`: `timeout` is not a number from 1 to 600 000.
   */
  isAvailable(options?: AvailabilityOptions | null): Promise<Availability>;

  /**
   * Returns the source that a token would come from, by the current environment.
   *
   * Synchronous, without a network request: it depends on which environment variables are set, and on whether the agent
   * of Azure Arc is installed. Their values are validated when a token is fetched. Never returns `"Imds"`: the metadata
   * service is the default when no other source is configured, and is then called `"DefaultToImds"`. If the environment
   * has none of the sources that the option `source` allows, the first of them is returned.
   */
  getManagedIdentitySource(): ManagedIdentitySourceNames;

  /**
   * **New.** Resolves with the source that a token would come from, after a probe of the Instance Metadata Service:
   * unlike `getManagedIdentitySource()` it distinguishes a host with that service (`"Imds"`) from a host without any
   * source (`null`). Other sources are detected from the environment alone; `null` if it has none of those that the
   * option `source` allows.
   *
   * @param options - How long to wait. Default: 1 000 ms.
   * @throws {ManagedIdentityError} `invalid_configuration`: `timeout` is not a number from 1 to 600 000.
   * @see https://learn.microsoft.com/dotnet/api/microsoft.identity.client.managedidentityapplication.getmanagedidentitysourceasync
   */
  getManagedIdentitySourceAsync(
    options?: AvailabilityOptions | null,
  ): Promise<ManagedIdentitySourceNames | null>;

  /**
   * **New.** Creates an application for the identity that the environment names: by `MANAGED_IDENTITY`, a JSON object
   * as in MSAL Python (`{"ManagedIdentityIdType": "SystemAssigned" | "ClientId" | "ObjectId" | "ResourceId",
   * "Id": …}`), else by `AZURE_CLIENT_ID`, else the system-assigned identity.
   *
   * A variable that is set but empty is an error: it must not silently select another identity.
   *
   * @param env - The environment variables. Default: `process.env`.
   * @param configuration - Further options; its `managedIdentityIdParams` are replaced. Default: none.
   * @throws {ManagedIdentityError} `invalid_configuration`: `MANAGED_IDENTITY` is not a JSON object.
   * @throws {ManagedIdentityError} `invalid_managed_identity_id_type`: its type is unknown.
   * @throws {ManagedIdentityError} `missing_client_id`: an id is empty or not a string; the message names the variable.
   * @throws {ManagedIdentityError} `invalid_configuration`: an id has white space or quotation marks around it, or is
   * the text `undefined` or `null`; the message names the variable.
   * @see https://learn.microsoft.com/entra/msal/python/advanced/managed-identity
   */
  static fromEnvironment(
    env?: { [name: string]: string | undefined } | null,
    configuration?: ManagedIdentityConfiguration | null,
  ): ManagedIdentityApplication;

  /**
   * **New.** Waits for the work that is under way, so that a script can end without losing the end of it: background
   * refreshes, requests whose callers have left or still wait, and writes to a persistent cache. When it resolves, their
   * events, log lines and `onBackgroundTokenRefresh` callbacks have been delivered to this thread.
   *
   * Only work that was under way at the time of the call counts, in all worker threads of the process. The events of
   * another thread's calls are delivered to that thread, so each thread calls `flush()` for its own. Sends no request;
   * without work under way it resolves in the next turn of the event loop. Keeps the process alive until it resolves.
   *
   * @param options - How long to wait. Default: 5 000 ms.
   * @returns Whether the work ended in time.
   * @throws {ManagedIdentityError} `invalid_configuration`: `timeout` is not a number from 1 to 600 000, or the options
   * are not an object.
   * @example
   * process.exitCode = await main();
   * await ManagedIdentityApplication.flush({ timeout: 2_000 });
   */
  static flush(options?: FlushOptions | null): Promise<boolean>;

  /**
   * **New.** Removes every cached token of the process: for tests, or when a token may have leaked.
   *
   * A request in flight still resolves its callers, but its token is not stored. All worker threads of the process lose
   * their tokens, too. Tokens that a persistent cache has stored until then are no longer read by this process. Never
   * throws.
   *
   * Afterwards neither the JavaScript nor the native side of this package holds any of the tokens: in this thread at
   * once, in other worker threads as soon as they are idle or call `acquireToken` or `getToken`. Results that callers
   * keep are not affected.
   */
  static clearCache(): void;
}

/**
 * The options of an application: which identity to use, and how to reach its endpoint.
 */
export type ManagedIdentityConfiguration = {
  /**
   * Capabilities of the client, sent with every request as `xms_cc`; `["CP1"]` declares that the client handles claims
   * challenges. A workload identity sends them in the form parameter `claims`, as
   * `{"access_token":{"xms_cc":{"values":[…]}}}`.
   *
   * Default: none. Limits: an array of non-empty strings, of at most 2 048 bytes together, else
   * `invalid_configuration`. Applications with different capabilities do not share tokens.
   *
   * @see https://learn.microsoft.com/entra/identity-platform/claims-challenge#how-to-communicate-client-capabilities-to-microsoft-entra-id
   */
  clientCapabilities?: string[];

  /**
   * The user-assigned identity to use; at most one of its ids.
   *
   * Default: the system-assigned identity of the host.
   */
  managedIdentityIdParams?: ManagedIdentityIdParams;

  /**
   * **New.** The source that tokens come from, instead of the detected one: one source, or a list of sources of which
   * the first one with complete environment variables is used. `"Imds"` needs no variables, and means the same as
   * `"DefaultToImds"`.
   *
   * For example, `"Imds"` uses the node's identity in a pod that has a workload identity.
   *
   * Default: absent, the first source of the table in docs/configuration.md that the environment has. Limits: a value
   * of `ManagedIdentitySourceNames` or a non-empty array of them, else `invalid_configuration`. If the environment has
   * none of them, `acquireToken` rejects with `invalid_configuration`, `getToken` with a `CredentialUnavailableError`
   * of that code, and `getManagedIdentitySource()` returns the first of the list.
   */
  source?: ManagedIdentitySourceNames | readonly ManagedIdentitySourceNames[] | null | undefined;

  /**
   * Timeouts, retries, logging and the HTTP client.
   *
   * Default: each option's own.
   */
  system?: NodeSystemOptions;

  /**
   * **New.** A persistent cache for tokens, for command-line scripts, which would otherwise request a token in each
   * run.
   *
   * Default: absent, tokens are in memory only. Limits: an object with at most one of the two options, else
   * `invalid_configuration`. A service does not need it: tokens on a disk can be stolen from there.
   */
  cache?: CacheOptions | null | undefined;

  /** Not an option; rejected with `invalid_configuration`. Use `managedIdentityIdParams.userAssignedClientId`. */
  clientId?: never;
  /** Not an option; rejected with `invalid_configuration`. Use `managedIdentityIdParams.userAssignedResourceId`. */
  resourceId?: never;
  /** Not an option; rejected with `invalid_configuration`. Use `managedIdentityIdParams.userAssignedObjectId`. */
  objectId?: never;
  /** Not an option; rejected with `invalid_configuration`. Use `managedIdentityIdParams.userAssignedClientId`. */
  managedIdentityClientId?: never;
  /** Not an option here; rejected with `invalid_configuration`. It belongs in `managedIdentityIdParams`. */
  userAssignedClientId?: never;
  /** Not an option here; rejected with `invalid_configuration`. It belongs in `managedIdentityIdParams`. */
  userAssignedResourceId?: never;
  /** Not an option here; rejected with `invalid_configuration`. It belongs in `managedIdentityIdParams`. */
  userAssignedObjectId?: never;
};

/**
 * A persistent cache: a directory or a plug-in.
 *
 * It is read only when the process has no token that is fresh enough, and written only when a new token arrives. A
 * record is valid only on the machine and for the identity, resource and endpoint that it was written for. Damaged,
 * foreign and expired records are ignored and replaced; they never cause an error.
 */
export type CacheOptions = {
  /**
   * A directory with one file for each token, of mode 0600. Processes that share a directory send one request in all
   * for a token that none of them has.
   *
   * Default: absent. Limits: an absolute path, else `invalid_configuration`. A missing directory is created with mode
   * 0700. Every acquisition fails with `invalid_configuration` if the directory belongs to another user, is accessible
   * to others or is a link, or if a directory above it belongs to a user other than root, or is writable by others
   * (unless it is sticky, as /tmp is). "Another user" means another than the effective user when the directory is used.
   * On Windows the directory inherits the permissions of its parent, and nothing is checked.
   */
  directory?: string | null | undefined;

  /**
   * A cache plug-in of msal-node, such as `PersistenceCachePlugin` of `@azure/msal-node-extensions`.
   *
   * Default: absent. Limits: an object with both methods, else `invalid_configuration`. A plug-in that throws, rejects
   * or takes over 10 s for an access is ignored.
   */
  cachePlugin?: ICachePlugin | null | undefined;
};

/**
 * A plug-in that stores the serialized cache between processes, as msal-node declares it.
 *
 * @see https://learn.microsoft.com/entra/msal/javascript/node/caching
 */
export interface ICachePlugin {
  /**
   * Called before the cache is read: passes the stored text to `tokenCache.deserialize`.
   *
   * @param tokenCacheContext - The cache.
   */
  beforeCacheAccess(tokenCacheContext: TokenCacheContext): Promise<void>;

  /**
   * Called after the cache was read: stores the text of `tokenCache.serialize` if `cacheHasChanged`.
   *
   * @param tokenCacheContext - The cache.
   */
  afterCacheAccess(tokenCacheContext: TokenCacheContext): Promise<void>;
}

/**
 * The cache as a plug-in sees it.
 */
export interface TokenCacheContext {
  /**
   * Whether the cache has changed and should be stored.
   */
  cacheHasChanged: boolean;

  /**
   * The cache.
   */
  tokenCache: ISerializableTokenCache;
}

/**
 * A cache that can be serialized. The text contains tokens.
 */
export interface ISerializableTokenCache {
  /**
   * Loads a text that `serialize` returned. Anything except a JSON object counts as an empty cache.
   *
   * @param cache - The stored text.
   */
  deserialize(cache: string): void;

  /**
   * Returns the text to store: a JSON object, which retains entries of other libraries that `deserialize` received.
   */
  serialize(): string;
}

/**
 * **New.** Factory methods for `managedIdentityIdParams`, as in MSAL.NET.
 *
 * @see https://learn.microsoft.com/dotnet/api/microsoft.identity.client.appconfig.managedidentityid
 */
export declare class ManagedIdentityId {
  private constructor();

  /**
   * Returns the identity that belongs to the host itself.
   */
  static systemAssigned(): ManagedIdentityIdParams;

  /**
   * Returns a user-assigned identity, by its client id.
   *
   * @param id - A GUID.
   * @throws {ManagedIdentityError} `missing_client_id`: the id is empty or not a string.
   * @throws {ManagedIdentityError} `invalid_configuration`: the id has white space or quotation marks around it, or is
   * the text `undefined` or `null`.
   */
  static withUserAssignedClientId(id: string): ManagedIdentityIdParams;

  /**
   * Returns a user-assigned identity, by its Azure resource id.
   *
   * @param id - The resource id, `/subscriptions/…/userAssignedIdentities/…`.
   * @throws {ManagedIdentityError} `missing_client_id`: the id is empty or not a string.
   * @throws {ManagedIdentityError} `invalid_configuration`: the id has white space or quotation marks around it, or is
   * the text `undefined` or `null`.
   */
  static withUserAssignedResourceId(id: string): ManagedIdentityIdParams;

  /**
   * Returns a user-assigned identity, by its object id.
   *
   * @param id - A GUID.
   * @throws {ManagedIdentityError} `missing_client_id`: the id is empty or not a string.
   * @throws {ManagedIdentityError} `invalid_configuration`: the id has white space or quotation marks around it, or is
   * the text `undefined` or `null`.
   */
  static withUserAssignedObjectId(id: string): ManagedIdentityIdParams;
}

/**
 * The id of a user-assigned identity: one of the following.
 *
 * More than one id is `invalid_managed_identity_id_type`. An id that is empty or blank is `missing_client_id`. An id of
 * over 2 048 bytes, white space or quotation marks around an id, the texts `undefined` and `null`, and any other key
 * are `invalid_configuration`. A message shows an id only if it has the form of one.
 *
 * Beware of an environment variable that is not set: `undefined` means absent, which selects the system-assigned
 * identity. Therefore, and as in msal-node, an id that may be `undefined` does not compile under
 * `exactOptionalPropertyTypes`, unlike other options: leave the id out to select the system-assigned identity.
 *
 * @see https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-manage-user-assigned-managed-identities
 */
export type ManagedIdentityIdParams = {
  /**
   * The client id (application id) of a user-assigned identity, a GUID.
   *
   * Default: absent. Not supported by Cloud Shell and Service Fabric.
   */
  userAssignedClientId?: string;

  /**
   * The Azure resource id of a user-assigned identity, `/subscriptions/…/userAssignedIdentities/…`.
   *
   * Default: absent. Not supported by Cloud Shell, Machine Learning, Service Fabric and workload identity.
   */
  userAssignedResourceId?: string;

  /**
   * The object id (principal id) of a user-assigned identity, a GUID.
   *
   * Default: absent. Not supported by Cloud Shell, Machine Learning, Service Fabric and workload identity.
   */
  userAssignedObjectId?: string;

  /**
   * **New.** The client id or the Azure resource id of a user-assigned identity, distinguished by its form: a GUID, or
   * `/subscriptions/…/resourceGroups/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/…`, in any case of
   * letters.
   *
   * Default: absent. Limits: one of the two forms, else `invalid_configuration`.
   */
  userAssignedId?: string;
};

/**
 * How requests are sent, retried, limited in time and logged.
 */
export type NodeSystemOptions = {
  /**
   * Where log lines go, and which of them.
   *
   * Default: no logging. Lines arrive through the event loop, normally before the promise settles; under a flood, and
   * at exit, some may be lost. A callback that throws, rejects or is slow does not affect acquisitions.
   */
  loggerOptions?: LoggerOptions;

  /**
   * A custom HTTP client, which then sends every request.
   *
   * Default: the native client. A rejection whose `code` is `ECONNREFUSED`, `ECONNRESET` or `ETIMEDOUT` is retried like
   * that network error. A rejection with `EADDRNOTAVAIL`, `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`, `EACCES` or `EPERM`
   * counts as an error of this process itself and is retried once. Other rejections are not retried. Limits: an object
   * with both methods, else `invalid_configuration`; on Service Fabric always `invalid_configuration`, since a custom
   * client cannot be made to pin the certificate. The client receives the endpoint's secrets in its headers. It must
   * not follow redirects.
   */
  networkClient?: INetworkModule;

  /**
   * Whether an acquisition is limited to a single request, for callers with a retry loop of their own.
   *
   * Default: `false`. Limits: a boolean, else `invalid_configuration`. Two requests are sent in any case: Azure Arc's
   * second request, which answers its challenge, and the request that follows a response for another `resource` than
   * the requested one.
   */
  disableInternalRetries?: boolean;

  /**
   * **New.** How often and after what delays a request is retried, in place of the source's own numbers.
   *
   * Default: the source's numbers, which docs/wire-protocol.md lists. Limits: an object, else `invalid_configuration`;
   * unknown keys are ignored. It changes neither which failures are retried nor Azure Arc's second request.
   * `disableInternalRetries` takes precedence.
   */
  retryOptions?: RetryOptions | null | undefined;

  /**
   * **New.** Called after each background refresh, with its outcome.
   *
   * Default: absent. Limits: a function, else `invalid_configuration`. It is called on the event loop of the
   * application that started the refresh; its return value, exceptions and rejections are ignored.
   *
   * @see https://learn.microsoft.com/dotnet/api/microsoft.identity.client.abstractapplicationbuilder-1
   */
  onBackgroundTokenRefresh?: ((ended: BackgroundTokenRefresh) => void) | null | undefined;

  /**
   * **New.** Whether a workload identity's requests go to the token proxy of its AKS cluster (identity bindings), which
   * environment variables describe: `AZURE_KUBERNETES_TOKEN_PROXY`, an https URL; `AZURE_KUBERNETES_SNI_NAME`, the name
   * in its certificate if that is not the URL's host; and at most one of `AZURE_KUBERNETES_CA_FILE`, a PEM file, and
   * `AZURE_KUBERNETES_CA_DATA`, PEM text, with the only certificates that are trusted for it.
   *
   * Default: `false`. Limits: a boolean, else `invalid_configuration`. Without `AZURE_KUBERNETES_TOKEN_PROXY` requests
   * go to Microsoft Entra. Without certificates the trust roots of the process apply. A variable that is invalid, or
   * set without the first one, is `invalid_configuration` before any request; so is a `networkClient` together with a
   * name or certificates, which the client would have to apply. `HTTPS_PROXY` is not used for these requests. Other
   * sources are not affected.
   *
   * @see https://learn.microsoft.com/azure/aks/identity-bindings-concepts
   */
  enableAzureProxy?: boolean | null | undefined;

  /**
   * Ignored: it has no meaning for a managed identity. Declared so that options typed by msal-node compile.
   */
  protocolMode?: "AAD" | "OIDC" | "EAR";

  /**
   * **New.** How long one connection attempt may take, in milliseconds.
   *
   * Default: 3 000. Limits: 1 to 600 000, else `invalid_configuration`. An attempt that takes longer is retried once,
   * then fails with `network_unavailable`. Not applied to a `networkClient`.
   */
  connectTimeout?: number | null | undefined;

  /**
   * **New.** How long one HTTP exchange may take, connecting and reading the body included, in milliseconds.
   *
   * Default: 10 000, and 30 000 for the last attempt after a timeout. Limits: 1 to 600 000, else
   * `invalid_configuration`; a given value applies to every attempt. An exchange that takes longer is retried once,
   * then fails with `network_unavailable`. The same limit applies to reading a federated token or Azure Arc's key,
   * which then fails with `unable_to_read_secret_file`.
   */
  requestTimeout?: number | null | undefined;

  /**
   * **New.** How long one acquisition may take, retries and the waits between them included, in milliseconds.
   *
   * Default: 120 000. Limits: 1 to 600 000, else `invalid_configuration`. An acquisition that takes longer fails with
   * `network_unavailable`. The `timeout` of a request replaces it.
   */
  totalTimeout?: number | null | undefined;
};

/**
 * How often and after what delays a request is retried; the names are those of the Azure SDK.
 */
export type RetryOptions = {
  /**
   * The largest number of retries of one acquisition, for all causes together.
   *
   * Default: the source's own number for each status and network error. Limits: a whole number from 0 to 10, else
   * `invalid_configuration`. A 429 without `Retry-After` is retried at most 7 times. `retryIdentityNotFound` adds
   * retries of its own.
   */
  maxRetries?: number | null | undefined;

  /**
   * The first delay, in milliseconds; each further delay is twice as long. Up to 20 % random jitter is added.
   *
   * Default: the source's own delays. Limits: 0 to 600 000, else `invalid_configuration`. The random delays after
   * a 429 without `Retry-After` depend on `maxRetryDelayInMs` only.
   */
  retryDelayInMs?: number | null | undefined;

  /**
   * The longest delay, in milliseconds, jitter included.
   *
   * Default: 64 000 for delays of `retryDelayInMs`, else the source's own. Limits: 0 to 600 000, else
   * `invalid_configuration`. If this option is given and an endpoint requires a longer delay by `Retry-After`, the
   * request is not retried: the acquisition fails at once, with `retryable` and `retryAfterMs`.
   */
  maxRetryDelayInMs?: number | null | undefined;
};

/**
 * A token request: the resource and further options.
 */
export type ManagedIdentityRequestParams = {
  /**
   * The resource that the token is for: an absolute URI (`https://…`, `api://…`, `urn:…`) or a GUID.
   *
   * One trailing `/.default` is removed. Otherwise the resource is sent as given and never normalised:
   * `https://vault.azure.net` and `https://vault.azure.net/` are two audiences. Limits: at most 2 048 bytes, an
   * absolute URI or a GUID, without white space and control characters, else `invalid_resource` before any request.
   */
  resource: string;

  /**
   * Whether to skip the cache; the new token replaces the cached one.
   *
   * Default: `false`. Limits: a boolean, else `invalid_configuration`.
   */
  forceRefresh?: boolean;

  /**
   * The claims challenge of a resource that rejected a token, as a JSON string; the cache is skipped, and the new token
   * replaces the cached one.
   *
   * Default: absent; an empty string means the same. Limits: a string, else `invalid_configuration`. The claims
   * themselves are never sent to a managed identity endpoint; on Service Fabric the SHA-256 of the cached token is. A
   * workload identity sends them to Microsoft Entra, merged with the client capabilities, which replace an `xms_cc` in
   * them. There, a text that is not a JSON object, such as a challenge that is still base64-encoded, is
   * `invalid_configuration` before any request.
   *
   * @see https://learn.microsoft.com/entra/identity-platform/claims-challenge
   */
  claims?: string;

  /**
   * **New.** A signal that ends this call when it is aborted, or at once if it already is; the promise rejects with the
   * signal's reason.
   *
   * Default: absent. Limits: an `AbortSignalLike`, else `invalid_configuration`. The request continues for other
   * callers that wait for it. When the last caller has left, a request that was sent is completed and its token is
   * cached, but nothing further is sent, and the process is not kept alive.
   */
  abortSignal?: AbortSignalLike | null | undefined;

  /**
   * **New.** How long this acquisition may take, in milliseconds; replaces `totalTimeout`.
   *
   * Default: the application's `totalTimeout`. Limits: 1 to 600 000, else `invalid_configuration`. A call that takes
   * longer rejects with `network_unavailable`.
   */
  timeout?: number | null | undefined;

  /**
   * **New.** For how long to retry after a response that the identity was not found, in milliseconds: for deployments
   * that assign an identity and use it at once. For a workload identity the same applies to a federated credential
   * (`AADSTS70021`, `AADSTS700213`, `AADSTS501661`).
   *
   * Default: absent, no such retry. Limits: 1 to 600 000, else `invalid_configuration`. The delays are 1 s, doubling to
   * 10 s. `totalTimeout` and `disableInternalRetries` still apply. These retries add to those of every 404, and calls
   * share a request only with calls that have the same value.
   */
  retryIdentityNotFound?: number | null | undefined;

  /** Not a field; rejected with `invalid_configuration`. Use `abortSignal`. */
  signal?: never;

  /** Not a field; rejected with `invalid_configuration`. Use `resource`, or `scopes` with one scope. */
  scope?: never;
};

/**
 * **New.** The options of `bearerToken`: the fields of a token request, without the resource.
 */
export type BearerTokenOptions = Omit<ManagedIdentityRequestParams, "resource">;

/**
 * **New.** A token request with a list of exactly one scope in place of a resource, as in the first versions of
 * MSAL.NET.
 *
 * No scope, or several, reject with `exactly_one_scope_expected`.
 */
export type ManagedIdentityScopesRequest = Omit<ManagedIdentityRequestParams, "resource"> & {
  /**
   * An array with one scope, such as `"https://management.azure.com/.default"`. If an untyped caller also gives a
   * `resource`, the resource takes precedence.
   */
  scopes: string[];
};

/**
 * The options of `getToken`, as `@azure/core-auth` declares them; other options are ignored.
 *
 * @see https://learn.microsoft.com/javascript/api/@azure/core-auth/gettokenoptions
 */
export interface GetTokenOptions {
  /**
   * A signal that ends this call when it is aborted.
   *
   * Default: absent.
   */
  abortSignal?: AbortSignalLike;

  /**
   * Options of the HTTP request.
   *
   * Default: absent.
   */
  requestOptions?: {
    /**
     * How long this acquisition may take, in milliseconds; replaces `totalTimeout`.
     *
     * Default: the application's `totalTimeout`; 0 means the same. Limits: 0 to 600 000, else `invalid_configuration`.
     */
    timeout?: number;
  };

  /**
   * The claims challenge of a service that rejected a token: the cache is skipped, and the new token replaces the
   * cached one. See `claims` of `ManagedIdentityRequestParams`.
   *
   * Default: absent.
   */
  claims?: string;

  /**
   * Whether the client handles claims challenges of continuous access evaluation (CAE): the capability `CP1` is then
   * sent, and the token is cached separately.
   *
   * Default: `false`. Limits: a boolean, else `invalid_configuration`.
   */
  enableCae?: boolean;

  /**
   * The tenant that the token must belong to, as a GUID. A managed identity has tokens of its own tenant only: if the
   * token's `tid` claim names another tenant, the call rejects with `invalid_configuration`.
   *
   * Default: absent. An opaque token (not a JWT) is not checked. `common`, `organizations`, `consumers` and domain
   * names are ignored, since they cannot be compared with a tenant's id.
   */
  tenantId?: string;
}

/**
 * A token in the form that clients of the Azure SDK expect.
 *
 * @see https://learn.microsoft.com/javascript/api/@azure/core-auth/accesstoken
 */
export interface AccessToken {
  /**
   * The access token.
   */
  token: string;

  /**
   * When it expires, in milliseconds since 1970.
   */
  expiresOnTimestamp: number;

  /**
   * When a client should request a token again, in milliseconds since 1970: half-way through the token's lifetime.
   *
   * Undefined for a lifetime of up to two hours.
   */
  refreshAfterTimestamp?: number;

  /**
   * The type of the token in an `Authorization` header.
   */
  tokenType: "Bearer";
}

/**
 * The options of a probe.
 */
export type AvailabilityOptions = {
  /**
   * How long to wait for a response, in milliseconds.
   *
   * Default: 1 000. Limits: 1 to 600 000, else `invalid_configuration`.
   */
  timeout?: number | null | undefined;
};

/**
 * **New.** The options of a flush.
 */
export type FlushOptions = {
  /**
   * How long to wait at most, in milliseconds.
   *
   * Default: 5 000. Limits: 1 to 600 000, else `invalid_configuration`.
   */
  timeout?: number | null | undefined;
};

/**
 * The result of a probe.
 */
export type Availability = {
  /**
   * Whether the endpoint responded.
   */
  available: boolean;

  /**
   * The source that was probed: the value of `getManagedIdentitySource()`.
   */
  source: ManagedIdentitySourceNames;

  /**
   * Why the endpoint is not available, and what may help; absent if it is available.
   */
  reason?: string;
};

/**
 * The outcome of a background refresh.
 *
 * @see https://learn.microsoft.com/dotnet/api/microsoft.identity.client.extensibility.executionresult
 */
export type BackgroundTokenRefresh =
  | {
      /** The refresh acquired a token. */
      successful: true;
      /** The new token, with all fields of a result. */
      result: AuthenticationResult;
      /** Absent. */
      error?: undefined;
    }
  | {
      /** The refresh failed; the cached token is still served. */
      successful: false;
      /** Why it failed. */
      error: ManagedIdentityError;
      /** Absent. */
      result?: undefined;
    };

/**
 * Facts about one call, as in MSAL.NET's `AuthenticationResultMetadata`; frozen. All durations are in milliseconds.
 *
 * @see https://learn.microsoft.com/dotnet/api/microsoft.identity.client.authenticationresultmetadata
 */
export type AuthenticationMetadata = {
  /**
   * Where the token came from; absent if the call failed.
   */
  readonly tokenSource?: "IdentityProvider" | "Cache";

  /**
   * Why a token was requested: `"NotApplicable"` if none was; `"ProactivelyRefreshed"` also if this call started a
   * background refresh.
   */
  readonly cacheRefreshReason:
    | "NotApplicable"
    | "ForceRefreshOrClaims"
    | "NoCachedAccessToken"
    | "Expired"
    | "ProactivelyRefreshed";

  /**
   * How long this call took; 0 if the token was in memory.
   */
  readonly durationTotalInMs: number;

  /**
   * How long all requests took together.
   */
  readonly durationInHttpInMs: number;

  /**
   * How long the persistent cache took.
   */
  readonly durationInCacheInMs: number;

  /**
   * How many requests were sent for this token, including those that another caller started.
   */
  readonly attempts: number;

  /**
   * The URL of the endpoint, without its query.
   */
  readonly tokenEndpoint: string;
};

/**
 * The members of an `AbortSignal` that are used here. Node.js's `AbortSignal` and the `AbortSignalLike` of
 * `@azure/abort-controller` satisfy it.
 *
 * @see https://nodejs.org/api/globals.html#class-abortsignal
 */
export interface AbortSignalLike {
  /**
   * Whether the signal has been aborted.
   */
  readonly aborted: boolean;

  /**
   * The value that an aborted call rejects with.
   *
   * Default: an `AbortError`, for signals without a reason.
   */
  readonly reason?: unknown;

  /**
   * Registers a function to be called when the signal is aborted.
   *
   * @param type - Always `"abort"`.
   * @param listener - The function; it ignores its arguments.
   * @param options - `once`: whether the listener is removed after its first call.
   */
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;

  /**
   * Removes a function that was registered.
   *
   * @param type - Always `"abort"`.
   * @param listener - The function that was registered.
   */
  removeEventListener(type: "abort", listener: () => void): void;
}

/**
 * A token with its metadata. Fields that only make sense for a signed-in user have the fixed values that msal-node
 * gives them for a managed identity.
 *
 * `util.inspect` and `JSON.stringify` show the token: keep results out of logs.
 */
export type AuthenticationResult = {
  /**
   * The authority's URL: always `"https://login.microsoftonline.com/managed_identity/"`.
   */
  authority: string;

  /**
   * The user's id: always `""`.
   */
  uniqueId: string;

  /**
   * The tenant's id: always `""`; the token's own `tid` claim has it.
   */
  tenantId: string;

  /**
   * The requested resource, without `/.default`, as the only element.
   */
  scopes: string[];

  /**
   * The signed-in account: always `null`.
   */
  account: AccountInfo | null;

  /**
   * The id token: always `""`.
   */
  idToken: string;

  /**
   * The claims of the id token: always `{}`.
   */
  idTokenClaims: object;

  /**
   * The access token, to be sent as `Authorization: Bearer <accessToken>`.
   */
  accessToken: string;

  /**
   * A proof of possession: never set.
   */
  dpopProof?: string;

  /**
   * Whether the token was in the cache before this call.
   */
  fromCache: boolean;

  /**
   * When the token expires: the earliest of the response's `expires_on` and `expires_in`, the `exp` of a JWT that is
   * valid now, and 48 hours after its arrival. Where a test has moved `Date.now()` by more than five seconds, it is a
   * time of that clock.
   *
   * Never `null` here. If the response has no readable expiry, it is the time of the call, and the token is not cached.
   */
  expiresOn: Date | null;

  /**
   * The same as `expiresOn`: tokens of a managed identity do not have an extended lifetime.
   */
  extExpiresOn?: Date;

  /**
   * Half-way through the token's lifetime; a later call starts a background refresh.
   *
   * Undefined for a lifetime of up to two hours.
   */
  refreshOn?: Date;

  /**
   * The type of the token in an `Authorization` header: `"Bearer"`.
   */
  tokenType: string;

  /**
   * A GUID for this call; on IMDS, requests that the call starts send it as `x-ms-client-request-id`.
   */
  correlationId: string;

  /**
   * The authority's id of the request: always `""`.
   */
  requestId?: string;

  /**
   * The state that a request passed through: always `""`.
   */
  state?: string;

  /**
   * The family of the client: always `""`.
   */
  familyId?: string;

  /**
   * A host of Microsoft Graph: always `""`.
   */
  cloudGraphHostName?: string;

  /**
   * A host of Microsoft Graph: always `""`.
   */
  msGraphHost?: string;

  /**
   * An authorization code: never set.
   */
  code?: string;

  /**
   * Whether a broker on this machine made the token: always `false`.
   */
  fromPlatformBroker?: boolean;

  /**
   * The resource of a request to a protected MCP server: never set; `scopes` has the resource.
   */
  resource?: string;

  /**
   * **New.** Facts about this call: where the token came from, why it was requested, and how long that took. Always set
   * here; optional so that results of msal-node fit the type.
   */
  metadata?: AuthenticationMetadata;
};

/**
 * A signed-in account, as msal-node declares it; needed for the type of `AuthenticationResult.account`, which is always
 * `null` here.
 */
export type AccountInfo = {
  /** The account's id in its home tenant. */
  homeAccountId: string;
  /** The host name of the authority that issued the account. */
  environment: string;
  /** The tenant that the account is used in. */
  tenantId: string;
  /** The name that the account signs in with. */
  username: string;
  /** The account's id in the tenant that it is used in. */
  localAccountId: string;
  /** A hint for the next sign-in. */
  loginHint?: string;
  /** The account's display name. */
  name?: string;
  /** The account's user principal name. */
  upn?: string;
  /** The account's id token. */
  idToken?: string;
  /** The claims of the id token. */
  idTokenClaims?: { [claim: string]: unknown };
  /** The account's id at a broker. */
  nativeAccountId?: string;
  /** The kind of authority that issued the account. */
  authorityType?: string;
  /** The account's profiles, by tenant. */
  tenantProfiles?: Map<string, TenantProfile>;
  /** The region in which the account's data remain. */
  dataBoundary?: "EU" | "None";
  /** Whether the user chose to stay signed in. */
  kmsi?: boolean;
};

/**
 * The profile of an account in one tenant; see `AccountInfo`.
 */
export type TenantProfile = Pick<
  AccountInfo,
  "tenantId" | "localAccountId" | "name" | "username" | "loginHint" | "upn" | "nativeAccountId"
> & {
  /** Whether this is the account's home tenant. */
  isHomeTenant?: boolean;
};

/**
 * Where log lines go, and which of them.
 */
export type LoggerOptions = {
  /**
   * Called with each line.
   *
   * Default: no logging. Limits: a function, else `invalid_configuration`. A callback that throws, rejects or is slow
   * neither fails nor delays an acquisition.
   */
  loggerCallback?: ILoggerCallback;

  /**
   * Whether lines that may contain personal data are passed on. This package writes none, so the option has no effect.
   *
   * Default: `false`. Limits: a boolean, else `invalid_configuration`.
   */
  piiLoggingEnabled?: boolean;

  /**
   * The least severe level that is passed on.
   *
   * Default: `LogLevel.Info`. Limits: one of `LogLevel`, 0 to 4, else `invalid_configuration`.
   */
  logLevel?: LogLevel;

  /**
   * Ignored: each line has the correlation id of its own call. Declared so that options typed by msal-node compile.
   */
  correlationId?: string;
};

/**
 * Receives one log line, in msal-node's format; its return value and exceptions are ignored.
 *
 * Lines normally arrive before the promise settles; under a flood, and at exit, some may be lost.
 */
export type ILoggerCallback = (level: LogLevel, message: string, containsPii: boolean) => void;

/**
 * The severity of a log line, from the most to the least severe.
 */
export declare enum LogLevel {
  /** A failure that a caller received. */
  Error = 0,
  /** A failure that callers do not see, such as a failed background refresh. */
  Warning = 1,
  /** A few lines for each acquisition; the default. */
  Info = 2,
  /** Each step of an acquisition. */
  Verbose = 3,
  /** Everything else. */
  Trace = 4,
}

/**
 * A custom HTTP client, as msal-node declares it.
 */
export interface INetworkModule {
  /**
   * Sends a GET request and resolves with the response, whatever its status.
   *
   * @param url - The URL, with its query.
   * @param options - Headers to send.
   * @param timeout - Never passed here: `requestTimeout` ends the exchange. Declared as in msal-node.
   */
  sendGetRequestAsync<T>(
    url: string,
    options?: NetworkRequestOptions,
    timeout?: number,
  ): Promise<NetworkResponse<T>>;

  /**
   * Sends a POST request and resolves with the response, whatever its status.
   *
   * @param url - The URL, with its query.
   * @param options - Headers and body to send.
   */
  sendPostRequestAsync<T>(url: string, options?: NetworkRequestOptions): Promise<NetworkResponse<T>>;
}

/**
 * The headers and the body of a request that an `INetworkModule` sends.
 */
export type NetworkRequestOptions = {
  /**
   * The headers, by name; they may contain secrets.
   *
   * Default: none.
   */
  headers?: Record<string, string>;

  /**
   * The body, encoded according to the `Content-Type` header.
   *
   * Default: none.
   */
  body?: string;

  /**
   * Never passed here; declared as in msal-node.
   *
   * Default: absent.
   */
  correlationId?: string;
};

/**
 * The response that an `INetworkModule` resolves with.
 */
export type NetworkResponse<T> = {
  /**
   * The headers, by name in upper or lower case: `WWW-Authenticate`, `Retry-After` and `Date` are read.
   */
  headers: Record<string, string>;

  /**
   * The body; a string is parsed as JSON.
   */
  body: T;

  /**
   * The HTTP status.
   */
  status: number;
};

/**
 * The base class of this package's errors, as in msal-node; all errors that are thrown are `ManagedIdentityError`s.
 */
export declare class AuthError extends Error {
  /**
   * Creates an error with the message `"<errorCode>: <errorMessage>"`, or the code alone without an `errorMessage`.
   *
   * @param errorCode - The stable code.
   * @param correlationId - The correlation id of the call.
   * @param errorMessage - The text after the code. Default: none.
   * @param suberror - A more specific code. Default: `""`.
   */
  constructor(
    errorCode: ManagedIdentityErrorCode | (string & {}),
    correlationId: string,
    errorMessage?: string,
    suberror?: string,
  );

  /**
   * The stable code, to compare with `ManagedIdentityErrorCodes`; it may also be a code of the service.
   */
  errorCode: ManagedIdentityErrorCode | (string & {});

  /**
   * What was attempted, what happened, and the remedy where it is known. The service's own message is quoted whole, up
   * to 500 characters; the service's `error_codes`, ids and timestamp follow it.
   */
  errorMessage: string;

  /**
   * A more specific code: always `""` in errors that this package throws.
   */
  subError: string;

  /**
   * The correlation id that the service sent, else that of the call.
   */
  correlationId: string;
}

/**
 * The error that constructors throw and `acquireToken` rejects with, except for aborted calls.
 *
 * A message, stack or field never contains a token, a secret header or an Azure Arc key.
 */
export declare class ManagedIdentityError extends AuthError {
  /**
   * Creates an error as this package does, for tests of code that handles such errors.
   *
   * Without `details` it has a general message, `retryable` is `false`, and the fields that describe an exchange are
   * absent.
   *
   * @param errorCode - The stable code.
   * @param correlationId - The correlation id of the call; in a test, any text.
   * @param details - **New.** The other fields of the error. Default: none.
   */
  constructor(
    errorCode: ManagedIdentityErrorCode | (string & {}),
    correlationId: string,
    details?: ManagedIdentityErrorDetails | null,
  );

  /**
   * The name of the class: `"ManagedIdentityError"`.
   */
  name: string;

  /**
   * **New.** The same as `errorCode`, where Node.js keeps the code of an error.
   */
  readonly code: ManagedIdentityErrorCode | (string & {});

  /**
   * **New.** The HTTP status of the last response; absent without a response.
   */
  readonly statusCode?: number;

  /**
   * The same as `statusCode`, under the name of msal-node's `ServerError`.
   */
  readonly status?: number;

  /**
   * The first of the service's `error_codes`, as it was sent; absent if none was. Microsoft Entra sends numbers, such
   * as `70021`, which msal-node's `ServerError` also has here, though it declares a string.
   */
  readonly errorNo?: number | string;

  /**
   * **New.** The source that the token was requested from, or that does not support the options; absent if the call
   * failed before the source was known.
   */
  readonly source?: ManagedIdentitySourceNames;

  /**
   * **New.** The URL of the endpoint, without its query; absent if there was none.
   */
  readonly endpoint?: string;

  /**
   * **New.** How many requests were sent for this acquisition, retries included: 0 if a request was due but could not
   * be sent; absent if the call failed before.
   */
  readonly attempts?: number;

  /**
   * **New.** Whether the same call may succeed later without a change; it was already retried unless
   * `disableInternalRetries` is set.
   */
  readonly retryable: boolean;

  /**
   * **New.** The delay that the endpoint required by `Retry-After`, in milliseconds, at most a day; absent without that
   * header.
   *
   * If nothing was sent because an earlier 429 required a delay: the rest of that delay.
   */
  readonly retryAfterMs?: number;

  /**
   * **New.** The underlying error, such as that of a socket, or the redacted rejection of a `networkClient`; absent if
   * there is none.
   */
  readonly cause?: unknown;

  /**
   * **New.** Facts about the call; absent if it failed before a request was due.
   */
  readonly metadata?: AuthenticationMetadata;
}

/**
 * **New.** The error that `getToken` rejects with where there is no managed identity, so that a chain of credentials
 * tries the next one: the metadata service does not respond, or another service responds at its address; a configured
 * endpoint cannot be reached or does not find the identity; the token file of a workload identity is missing; the
 * environment has none of the sources that `source` allows. docs/azure-sdk.md lists the cases.
 */
export declare class CredentialUnavailableError extends ManagedIdentityError {
  /**
   * The name of the class, which `ChainedTokenCredential` checks: `"CredentialUnavailableError"`.
   */
  name: string;
}

/**
 * **New.** The fields of an error in addition to its code and correlation id, for the constructor.
 */
export type ManagedIdentityErrorDetails = {
  /**
   * The text after the code: the error's `errorMessage`.
   *
   * Default: a general sentence.
   */
  message?: string | undefined;
  /** The HTTP status of the last response; also sets the error's `status`. Default: absent. */
  statusCode?: number | undefined;
  /** The first of the service's `error_codes`. Default: absent. */
  errorNo?: number | string | undefined;
  /** Whether the same call may succeed later. Default: `false`. */
  retryable?: boolean | undefined;
  /** The source that the token was requested from. Default: absent. */
  source?: ManagedIdentitySourceNames | undefined;
  /** The URL of the endpoint, without its query. Default: absent. */
  endpoint?: string | undefined;
  /** How many requests were sent. Default: absent. */
  attempts?: number | undefined;
  /** The delay that the endpoint required, in milliseconds. Default: absent. */
  retryAfterMs?: number | undefined;
  /** A more specific code. Default: `""`. */
  subError?: string | undefined;
  /** Facts about the call; the error freezes them. Default: absent. */
  metadata?: AuthenticationMetadata | undefined;
  /** The underlying error. Default: absent. */
  cause?: unknown;
};

/**
 * **New.** Returns whether an error is a `ManagedIdentityError`, including errors of another copy of this package or of
 * another realm, for which `instanceof` returns `false`: in Jest, in a bundle, or where two versions are installed.
 *
 * Never throws. An error that `structuredClone` or `postMessage` has copied has lost its class: `false`.
 *
 * @param error - Any value.
 */
export declare function isManagedIdentityError(error: unknown): error is ManagedIdentityError;

/**
 * **New.** The codes that an error of this package can have: those of `ManagedIdentityErrorCodes`, and known codes of
 * the services. A service may send others, so `errorCode` can be any string.
 */
export type ManagedIdentityErrorCode =
  | Exclude<(typeof ManagedIdentityErrorCodes)[keyof typeof ManagedIdentityErrorCodes], object>
  | (typeof ManagedIdentityErrorCodes.MsiEnvironmentVariableUrlMalformedErrorCodes)[keyof typeof ManagedIdentityErrorCodes.MsiEnvironmentVariableUrlMalformedErrorCodes]
  | "access_denied"
  | "AudienceNotSupported"
  | "bad_request_102"
  | "invalid_client"
  | "invalid_grant"
  | "invalid_request"
  | "invalid_scope"
  | "ManagedIdentityNotFound"
  | "SecretHeaderNotFound"
  | "server_error"
  | "temporarily_unavailable"
  | "unauthorized_client"
  | "unknown_source"
  | "unsupported_grant_type";

/**
 * The error codes of this package and of msal-node, by name; frozen.
 *
 * msal-node throws errors with these codes but does not export names for them. Codes that this package never throws are
 * listed for code that handles errors of both.
 */
export declare const ManagedIdentityErrorCodes: {
  /** Azure Arc named a key file that does not end in `.key`. */
  readonly invalidFileExtension: "invalid_file_extension";
  /** Azure Arc named a key file that is not in its agent's directory. */
  readonly invalidFilePath: "invalid_file_path";
  /** More than one id was given, or an id of a kind that the source does not support. */
  readonly invalidManagedIdentityIdType: "invalid_managed_identity_id_type";
  /** Azure Arc's key file is empty or larger than 4 096 bytes. */
  readonly invalidSecret: "invalid_secret";
  /** An id is empty or not a string. */
  readonly missingId: "missing_client_id";
  /** No response came within the connect, request or total timeout. */
  readonly networkUnavailable: "network_unavailable";
  /** Azure Arc sent its challenge on a system that is neither Linux nor Windows. */
  readonly platformNotSupported: "platform_not_supported";
  /** Not thrown here; older versions of msal-node had it for a user-assigned identity on Azure Arc. */
  readonly unableToCreateAzureArc: "unable_to_create_azure_arc";
  /** A user-assigned identity was requested in Cloud Shell. */
  readonly unableToCreateCloudShell: "unable_to_create_cloud_shell";
  /** Not thrown here; msal-node has it for an environment without a source. */
  readonly unableToCreateSource: "unable_to_create_source";
  /** Azure Arc's key file, or a workload identity's token file, is not a regular file or cannot be read. */
  readonly unableToReadSecretFile: "unable_to_read_secret_file";
  /** Not thrown here; msal-node has it for a URL that cannot be parsed. */
  readonly urlParseError: "url_parse_error";
  /** A user-assigned identity was requested on Service Fabric. */
  readonly userAssignedNotAvailableAtRuntime: "user_assigned_not_available_at_runtime";
  /** Azure Arc responded for another identity than the requested one. */
  readonly userAssignedManagedIdentityNotConfirmed: "user_assigned_managed_identity_not_confirmed";
  /** Azure Arc's challenge has no `WWW-Authenticate` header. */
  readonly wwwAuthenticateHeaderMissing: "www_authenticate_header_missing";
  /** Azure Arc's `WWW-Authenticate` header does not have a challenge `Basic realm=<path>`. */
  readonly wwwAuthenticateHeaderUnsupportedFormat: "www_authenticate_header_unsupported_format";
  /** The codes for environment variables that are not http(s) URLs, by the variable's name; frozen. */
  readonly MsiEnvironmentVariableUrlMalformedErrorCodes: {
    /** The variable is not an http(s) URL. */
    readonly AZURE_POD_IDENTITY_AUTHORITY_HOST: "azure_pod_identity_authority_host_url_malformed";
    /** The variable is not an http(s) URL; on Service Fabric, not an https URL. */
    readonly IDENTITY_ENDPOINT: "identity_endpoint_url_malformed";
    /** The variable is not an http(s) URL. */
    readonly IMDS_ENDPOINT: "imds_endpoint_url_malformed";
    /** The variable is not an http(s) URL. */
    readonly MSI_ENDPOINT: "msi_endpoint_url_malformed";
  };
  /** **New.** An option or a request field has the wrong type or value, or the source cannot honour it. */
  readonly invalidConfiguration: "invalid_configuration";
  /** **New.** `getToken` or `scopes` was given no scope, or several. */
  readonly exactlyOneScopeExpected: "exactly_one_scope_expected";
  /** **New.** Service Fabric's thumbprint is not a SHA-1, or the server's certificate has another thumbprint. */
  readonly invalidServerThumbprint: "invalid_server_thumbprint";
  /** The resource is neither an absolute URI nor a GUID, or the service does not recognise it. */
  readonly invalidResource: "invalid_resource";
  /** The endpoint's response has neither a usable token nor an error code. */
  readonly managedIdentityFailedResponse: "managed_identity_failed_response";
  /** The endpoint could not be reached: refused, reset, no route, DNS or TLS. */
  readonly managedIdentityUnreachableNetwork: "managed_identity_unreachable_network";
};

/**
 * The sources that a token can come from, by name; frozen.
 *
 * @see https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/managed-identities-status
 */
export declare const ManagedIdentitySourceNames: {
  /**
   * App Service, Functions, Container Apps and Automation.
   *
   * @see https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
   */
  readonly APP_SERVICE: "AppService";
  /**
   * A server outside Azure with the agent of Azure Arc.
   *
   * @see https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication
   */
  readonly AZURE_ARC: "AzureArc";
  /**
   * Azure Cloud Shell.
   *
   * @see https://learn.microsoft.com/azure/cloud-shell/msi-authorization
   */
  readonly CLOUD_SHELL: "CloudShell";
  /**
   * The Instance Metadata Service, when no other source is configured: virtual machines, scale sets and every
   * other host that serves it.
   *
   * @see https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
   */
  readonly DEFAULT_TO_IMDS: "DefaultToImds";
  /** The Instance Metadata Service; never returned by `getManagedIdentitySource()`, as in msal-node. */
  readonly IMDS: "Imds";
  /**
   * Azure Machine Learning.
   *
   * @see https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication
   */
  readonly MACHINE_LEARNING: "MachineLearning";
  /**
   * Azure Service Fabric.
   *
   * @see https://learn.microsoft.com/azure/service-fabric/how-to-managed-identity-service-fabric-app-code
   */
  readonly SERVICE_FABRIC: "ServiceFabric";
  /**
   * **New.** Workload identity in Azure Kubernetes Service.
   *
   * @see https://azure.github.io/azure-workload-identity/docs/
   */
  readonly WORKLOAD_IDENTITY: "WorkloadIdentity";
};

/**
 * The name of a source: a value of the object of the same name.
 */
export type ManagedIdentitySourceNames =
  (typeof ManagedIdentitySourceNames)[keyof typeof ManagedIdentitySourceNames];

/**
 * **New.** The channels of `node:diagnostics_channel` on which this package publishes events, by name, each with the
 * type of its messages. A message never contains a token or a secret. Subscribing adds no cost except the subscriber's
 * own; without subscribers nothing is published.
 *
 * @example
 * import { channel } from "node:diagnostics_channel";
 * channel("managed-identity-native:retry").subscribe((message) => {
 *   const { waitInMs } = message as DiagnosticsChannels["managed-identity-native:retry"];
 * });
 * @see https://nodejs.org/api/diagnostics_channel.html
 */
export interface DiagnosticsChannels {
  /**
   * A call of `acquireToken` or `getToken` starts. A store that is bound to this channel (`channel.bindStore`) is in effect
   * for the start of the call, and for the events and callbacks of what it starts.
   */
  "managed-identity-native:acquire:start": AcquireMessage;
  /** The call ends; the message is the same object, completed. */
  "managed-identity-native:acquire:end": AcquireMessage;
  /** An HTTP request ends. */
  "managed-identity-native:request": RequestMessage;
  /** A request failed and will be retried. */
  "managed-identity-native:retry": RetryMessage;
  /** A background refresh ends. */
  "managed-identity-native:refresh": RefreshMessage;
}

/**
 * A call, from its start to its end.
 */
export interface AcquireMessage {
  /** The requested resource, as the caller gave it. */
  resource: unknown;
  /**
   * The correlation id of the call, which its requests, retries and log lines have, too. Set when the call ends; absent
   * if it was aborted. The service's own id is the error's `correlationId`.
   */
  correlationId?: string;
  /** Whether the token was in the cache. Set when the call ends, if it succeeded. */
  fromCache?: boolean;
  /** When the token expires. Set when the call ends, if it succeeded. */
  expiresOn?: Date | null;
  /** The code of the error. Set when the call ends, if it failed. */
  errorCode?: string;
  /** The value that the call rejected with. Set when the call ends, if it failed. */
  error?: unknown;
  /** Facts about the call. Set when the call ends. */
  metadata?: AuthenticationMetadata;
}

/**
 * The fields that all events of a request have.
 */
export interface FlightMessage {
  /** The correlation id of the call that started the request; other calls may share it. */
  correlationId: string;
  /** The resource that the token is for. */
  resource: string;
  /** The source that the token is requested from. */
  source: ManagedIdentitySourceNames;
  /** The URL of the endpoint, without its query. */
  endpoint: string;
}

/**
 * An HTTP request that ended.
 */
export interface RequestMessage extends FlightMessage {
  /** The number of the request, from 1. */
  attempt: number;
  /** The HTTP status of the response; absent without a response. */
  statusCode?: number;
  /** The network error, if there was no response: Node.js's code where there is one, such as `ECONNRESET`. */
  fault?: string;
  /** How long the request took, in milliseconds. */
  durationInMs: number;
}

/**
 * A request that failed and will be retried.
 */
export interface RetryMessage extends FlightMessage {
  /** The number of the request that failed, from 1. */
  attempt: number;
  /** The delay before the retry, in milliseconds. */
  waitInMs: number;
  /** The HTTP status of the response; absent without a response. */
  statusCode?: number;
  /** The error code that the call would have failed with. */
  errorCode: string;
  /** The message of that error. */
  errorMessage: string;
}

/**
 * A background refresh that ended.
 */
export interface RefreshMessage extends FlightMessage {
  /** When the new token expires; absent if the refresh failed. */
  expiresOn?: Date;
  /** The code of the error; absent if the refresh succeeded. */
  errorCode?: string;
  /** The message of the error; absent if the refresh succeeded. */
  errorMessage?: string;
  /** The HTTP status of the failed response; absent without a response. */
  statusCode?: number;
  /** Facts about the refresh. */
  metadata?: AuthenticationMetadata;
}
