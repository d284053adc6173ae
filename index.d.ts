/**
 * Access tokens for Azure resources by managed identity, from whatever host the process runs on.
 *
 * The names and shapes are those of `@azure/msal-node` 7, so that a service changes its import line and
 * nothing else; what goes beyond them is marked **New**. Wherever a value may be left out, `undefined` and,
 * for untyped callers, `null` mean the same as leaving it out. All durations are in milliseconds.
 *
 * @see https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/overview
 */

/**
 * The version of this package, as package.json names it.
 */
export declare const version: string;

/**
 * Gets access tokens for one managed identity, from the cache of the process or from the host's identity
 * endpoint.
 *
 * An application is cheap: it does no I/O and starts no thread when it is made, and every application of the
 * process shares one cache and one set of pending requests, across worker threads too.
 *
 * @example
 * const app = new ManagedIdentityApplication();
 * const { accessToken } = await app.acquireToken("https://vault.azure.net");
 */
export declare class ManagedIdentityApplication {
  /**
   * Prepares an application for the system-assigned identity, or for the one that `managedIdentityIdParams`
   * names.
   *
   * Unknown keys are ignored, except those that would silently be another identity: whatever
   * `managedIdentityIdParams` has under another name than an id's, and an id that stands beside it. The environment is
   * not read here but when a token has to be fetched.
   *
   * @param configuration - Identity, capabilities and system options; all of them have defaults.
   * @throws {ManagedIdentityError} `invalid_managed_identity_id_type`: more than one id.
   * @throws {ManagedIdentityError} `missing_client_id`: an id that is present but empty or no string.
   * @throws {ManagedIdentityError} `invalid_configuration`: an option of a wrong type or out of range, an id with white
   * space or quotation marks around it, the text `undefined` or `null` for an id, or a misspelt id; the message names
   * it.
   */
  constructor(configuration?: ManagedIdentityConfiguration | null);

  /**
   * Resolves with an access token for a resource.
   *
   * A fresh token comes from memory. One past half of a lifetime of over two hours is served at once and
   * refreshed behind the caller. One with under five minutes left is refreshed first, and served after all
   * when that fails or takes more than two seconds. However many callers ask for one token at a time, one
   * request is made. Nothing is thrown synchronously, and a failure is not remembered.
   *
   * @param request - A resource (**New**), or an object that holds it with further options.
   * @returns A result that belongs to the caller: changing it changes nobody else's.
   * @throws {ManagedIdentityError} `invalid_resource`: the resource is no absolute URI and no GUID.
   * @throws {ManagedIdentityError} `invalid_configuration`: another request field is of a wrong type or out
   * of range, or is `signal` or `scope`, which other libraries call `abortSignal` and `resource`; an option cannot be
   * honoured by the host's source; the environment has none of the sources that `source` allows; a workload identity
   * has no client id; or `AZURE_CLIENT_ID`, where it is used, is not an id.
   * @throws {ManagedIdentityError} `identity_endpoint_url_malformed`, `msi_endpoint_url_malformed`,
   * `imds_endpoint_url_malformed`, `azure_pod_identity_authority_host_url_malformed`: that environment
   * variable is no http or https URL.
   * @throws {ManagedIdentityError} `invalid_managed_identity_id_type`, `unable_to_create_cloud_shell`,
   * `user_assigned_not_available_at_runtime`, `user_assigned_managed_identity_not_confirmed`: the source does
   * not take this kind of identity.
   * @throws {ManagedIdentityError} `www_authenticate_header_missing`,
   * `www_authenticate_header_unsupported_format`, `platform_not_supported`, `invalid_file_extension`,
   * `invalid_file_path`, `unable_to_read_secret_file`, `invalid_secret`: Azure Arc's challenge could not be
   * met.
   * @throws {ManagedIdentityError} `invalid_server_thumbprint`: Service Fabric's certificate is not the
   * pinned one.
   * @throws {ManagedIdentityError} `managed_identity_failed_response`: the endpoint's answer held neither a
   * usable token nor an error code.
   * @throws {ManagedIdentityError} `managed_identity_unreachable_network`: the endpoint could not be reached.
   * @throws {ManagedIdentityError} `network_unavailable`: no answer within one of the three timeouts.
   * @throws {ManagedIdentityError} The service's own code, such as `invalid_request`, when its answer named
   * one.
   * @throws The reason of `abortSignal`, an `AbortError` unless the caller gave another, once it is aborted.
   * @see https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
   */
  acquireToken(
    request: string | ManagedIdentityRequestParams | ManagedIdentityScopesRequest,
  ): Promise<AuthenticationResult>;

  /**
   * **New.** Resolves with an access token in the shape that clients of the Azure SDK take: an application is a
   * `TokenCredential` of `@azure/core-auth`, to be passed to them as their `credential`.
   *
   * The same cache and the same requests as `acquireToken`. Where no other source is configured, and until the Instance
   * Metadata Service (IMDS) has answered once in this process, a token request to it is preceded by a probe of up to
   * 1 s, so that a chain of credentials moves on at once on a machine outside of Azure, also where something else
   * answers at the address of IMDS. If the connection is accepted but the probe is not answered in time, one token
   * request without retries follows; if that is not answered either, the probe alone decides for the next 5 minutes.
   *
   * @param scopes - One scope, such as `"https://vault.azure.net/.default"`, or an array of one.
   * @param options - What the client asks for besides.
   * @throws {CredentialUnavailableError} There is no managed identity here; `ChainedTokenCredential` of
   * `@azure/identity` then tries its next credential. docs/azure-sdk.md lists when.
   * @throws {ManagedIdentityError} `exactly_one_scope_expected`: an array of none or of several scopes.
   * @throws {ManagedIdentityError} `invalid_configuration`: an option of a wrong type, or a `tenantId` other
   * than that of the identity.
   * @throws {ManagedIdentityError} Everything else that `acquireToken` rejects with.
   * @throws The reason of `abortSignal`, once it is aborted.
   * @see https://learn.microsoft.com/javascript/api/@azure/core-auth/tokencredential
   */
  getToken(scopes: string | string[], options?: GetTokenOptions | null): Promise<AccessToken>;

  /**
   * **New.** Gives a function that resolves with a valid access token as a string: for whatever takes a token or a
   * password function, such as pg, mysql2, redis, tedious and OpenAI's `azureADTokenProvider`.
   *
   * Each call of the function is a call of `acquireToken`: a fresh token comes from memory. The function looks at none
   * of its arguments, so that drivers may call it with their own.
   *
   * @param resource - The resource that the token is for, as `acquireToken` takes it.
   * @param options - Further fields of the request, read once and used by every call of the function, so that an
   * `abortSignal` among them ends all later calls, too. Default: none. Anything but an object makes the function reject
   * with `invalid_configuration`.
   * @returns A function that rejects with what `acquireToken` rejects with; nothing is thrown here.
   * @example
   * const password = app.bearerToken("https://ossrdbms-aad.database.windows.net");
   * const pool = new pg.Pool({ user: "my-identity", password });
   */
  bearerToken(resource: string, options?: BearerTokenOptions | null): () => Promise<string>;

  /**
   * **New.** Gives a function that resolves with this identity's token as a client assertion: the proof by which
   * an application of Microsoft Entra ID that trusts the identity (a federated identity credential) signs in
   * without a secret of its own.
   *
   * It is what msal-node's `ConfidentialClientApplication` takes as `auth.clientAssertion` and
   * `@azure/identity`'s `ClientAssertionCredential` as `getAssertion`; each call gives a token that is valid.
   *
   * @param resource - Default: `"api://AzureADTokenExchange"`, the audience of the public cloud; a national cloud
   * has its own.
   * @returns A function that rejects with what `acquireToken` rejects with.
   * @see https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
   */
  clientAssertion(resource?: string): () => Promise<string>;

  /**
   * **New.** Tells whether there is a managed identity endpoint here, by a probe that asks for no token and sends
   * no secret.
   *
   * At a configured endpoint any HTTP response counts, except that of a container's host in place of the metadata
   * service. At that service's default address, a response that can only come from something else does not count
   * (another cloud, a portal, a gateway), until the service has answered once in this process.
   * Nothing else is cached from it. An endpoint that cannot be reached, or a variable of the environment that cannot
   * be used, gives `available: false` with a reason, and not an error.
   *
   * @param options - How long to wait.
   * @throws {ManagedIdentityError} `invalid_configuration`: `timeout` is no number from 1 to 600 000.
   */
  isAvailable(options?: AvailabilityOptions | null): Promise<Availability>;

  /**
   * Says where a token would come from, judged by the environment as it is now.
   *
   * Synchronous and without any network request. It tells by which variables are set, and by whether Azure
   * Arc's agent is installed; whether their values are any good shows when a token is fetched. `"Imds"` is
   * never answered: the metadata service is what remains when nothing else is configured, and its name is then
   * `"DefaultToImds"`. Where `source` allows only sources that the environment does not have, it is the first of them.
   */
  getManagedIdentitySource(): ManagedIdentitySourceNames;

  /**
   * **New.** Says where a token would come from, after asking the Instance Metadata Service whether it is there:
   * unlike `getManagedIdentitySource()` it tells a host with that service (`"Imds"`) from one without any source
   * (`null`). Other sources are told by the environment alone; `null` if it has none of those that `source` allows.
   *
   * @param options - How long to wait.
   * @throws {ManagedIdentityError} `invalid_configuration`: `timeout` is no number from 1 to 600 000.
   * @see https://learn.microsoft.com/dotnet/api/microsoft.identity.client.managedidentityapplication.getmanagedidentitysourceasync
   */
  getManagedIdentitySourceAsync(
    options?: AvailabilityOptions | null,
  ): Promise<ManagedIdentitySourceNames | null>;

  /**
   * **New.** Makes an application for the identity that the environment names: by `MANAGED_IDENTITY`, a JSON object
   * as MSAL Python reads it (`{"ManagedIdentityIdType": "SystemAssigned" | "ClientId" | "ObjectId" | "ResourceId",
   * "Id": …}`), else by `AZURE_CLIENT_ID`, else the system-assigned one.
   *
   * A variable that is there but empty is an error: it must not silently become another identity.
   *
   * @param env - Default: `process.env`.
   * @param configuration - Further options; its `managedIdentityIdParams` are replaced.
   * @throws {ManagedIdentityError} `invalid_configuration`: `MANAGED_IDENTITY` is no JSON object.
   * @throws {ManagedIdentityError} `invalid_managed_identity_id_type`: it names no known type.
   * @throws {ManagedIdentityError} `missing_client_id`: an id is empty or no string; the message names the variable.
   * @throws {ManagedIdentityError} `invalid_configuration`: an id has white space or quotation marks around it, or is
   * the text `undefined` or `null`; the message names the variable.
   * @see https://learn.microsoft.com/entra/msal/python/advanced/managed-identity
   */
  static fromEnvironment(
    env?: { [name: string]: string | undefined } | null,
    configuration?: ManagedIdentityConfiguration | null,
  ): ManagedIdentityApplication;

  /**
   * **New.** Forgets every cached token of the process: for tests, or when a token may have leaked.
   *
   * A request that is under way still answers those who wait for it, but its token is not stored. Other
   * worker threads of the process lose their tokens too. What a cache outside of the process has kept until then
   * is not read any more by this process. Never throws.
   *
   * Afterwards this package holds none of the tokens, on either side: in this thread at once, in other worker
   * threads as soon as they are idle, or at the next call of `acquireToken` or `getToken` there. Results that
   * callers keep are theirs.
   */
  static clearCache(): void;
}

/**
 * Which identity to use, and how to reach its endpoint.
 */
export type ManagedIdentityConfiguration = {
  /**
   * Capabilities of the client, sent with every request as `xms_cc`; `["CP1"]` declares that claims
   * challenges are handled. A workload identity sends them in the form parameter `claims`, as
   * `{"access_token":{"xms_cc":{"values":[…]}}}`.
   *
   * Default: none. Limits: an array of strings that are not empty, of at most 2 048 bytes together, else
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
   * **New.** Where tokens come from, whatever else the environment says: one source, or a list of sources of which the
   * first is used whose variables are complete. `"Imds"` always is, and means the same as `"DefaultToImds"`.
   *
   * For example, `"Imds"` uses the node's identity in a pod that has a workload identity.
   *
   * Default: absent, the first source of the table in docs/configuration.md that the environment has. Limits: a value of
   * `ManagedIdentitySourceNames` or an array of them that is not empty, else `invalid_configuration`. Where the
   * environment has none of them, `acquireToken` rejects with `invalid_configuration`, `getToken` with a
   * `CredentialUnavailableError` of that code, and `getManagedIdentitySource()` gives the first of the list.
   */
  source?: ManagedIdentitySourceNames | readonly ManagedIdentitySourceNames[] | null | undefined;

  /**
   * Timeouts, retries, logging and the HTTP client.
   *
   * Default: each option's own.
   */
  system?: NodeSystemOptions;

  /**
   * **New.** Where tokens are kept beside the memory of this process: for command-line scripts, each run of which
   * would else ask for a token.
   *
   * Default: nowhere. Limits: an object with at most one of the two options, else `invalid_configuration`. A service has
   * no use for it: tokens on a disk are tokens that can be stolen from there.
   */
  cache?: CacheOptions | null | undefined;

  /** Not an option, and refused: the id belongs in `managedIdentityIdParams.userAssignedClientId`. */
  clientId?: never;
  /** Not an option, and refused: the id belongs in `managedIdentityIdParams.userAssignedResourceId`. */
  resourceId?: never;
  /** Not an option, and refused: the id belongs in `managedIdentityIdParams.userAssignedObjectId`. */
  objectId?: never;
  /** Not an option, and refused: the id belongs in `managedIdentityIdParams.userAssignedClientId`. */
  managedIdentityClientId?: never;
  /** Not an option here, and refused: it belongs in `managedIdentityIdParams`. */
  userAssignedClientId?: never;
  /** Not an option here, and refused: it belongs in `managedIdentityIdParams`. */
  userAssignedResourceId?: never;
  /** Not an option here, and refused: it belongs in `managedIdentityIdParams`. */
  userAssignedObjectId?: never;
};

/**
 * A cache outside of the process; one of the two.
 *
 * It is asked only when the process has no token that is fresh enough, and told only of new ones. What it holds is
 * believed on the machine and for the identity, resource and endpoint that it was made for, and nowhere else; what
 * is damaged, foreign or expired is ignored and replaced, and never a caller's error.
 */
export type CacheOptions = {
  /**
   * A directory with a file for each token, mode 0600. The processes that use one directory make one request
   * between them for a token that none of them has.
   *
   * Default: absent. Limits: an absolute path, else `invalid_configuration`. The directory is made with mode 0700 if
   * it is not there. A directory that belongs to another user, that others may look into, or that is a link makes
   * every acquisition fail with `invalid_configuration`. So does one below a directory that belongs to another user
   * than root, or to which others may write (unless it is sticky, as /tmp is). The user is the one that the process
   * acts as when it uses the directory. Windows is different: there the directory has the rights of its parent, and
   * nothing is checked.
   */
  directory?: string | null | undefined;

  /**
   * A plug-in as msal-node takes it, such as `PersistenceCachePlugin` of `@azure/msal-node-extensions`.
   *
   * Default: absent. Limits: an object with both methods, else `invalid_configuration`. A plug-in that throws, rejects
   * or takes over 10 s for an access is as good as none.
   */
  cachePlugin?: ICachePlugin | null | undefined;
};

/**
 * Keeps a text between processes, as msal-node declares it.
 *
 * @see https://learn.microsoft.com/entra/msal/javascript/node/caching
 */
export interface ICachePlugin {
  /**
   * Called before the cache is looked at: the time to hand over what was kept.
   *
   * @param tokenCacheContext - The cache.
   */
  beforeCacheAccess(tokenCacheContext: TokenCacheContext): Promise<void>;

  /**
   * Called after the cache was looked at: the time to keep it if it has changed.
   *
   * @param tokenCacheContext - The cache.
   */
  afterCacheAccess(tokenCacheContext: TokenCacheContext): Promise<void>;
}

/**
 * What a plug-in gets to see of the cache.
 */
export interface TokenCacheContext {
  /**
   * Whether there is something new to keep.
   */
  cacheHasChanged: boolean;

  /**
   * The cache.
   */
  tokenCache: ISerializableTokenCache;
}

/**
 * A cache that can be put into words. The words hold tokens.
 */
export interface ISerializableTokenCache {
  /**
   * Takes what `serialize` gave; what is no JSON object counts as empty.
   *
   * @param cache - The text that was kept.
   */
  deserialize(cache: string): void;

  /**
   * The text to keep: a JSON object, in which whatever else was handed over stays.
   */
  serialize(): string;
}

/**
 * **New.** Names an identity, as MSAL.NET does: to be given as `managedIdentityIdParams`.
 *
 * @see https://learn.microsoft.com/dotnet/api/microsoft.identity.client.appconfig.managedidentityid
 */
export declare class ManagedIdentityId {
  private constructor();

  /**
   * The identity that belongs to the host itself.
   */
  static systemAssigned(): ManagedIdentityIdParams;

  /**
   * A user-assigned identity, by its client id.
   *
   * @param id - A GUID.
   * @throws {ManagedIdentityError} `missing_client_id`: it is empty or no string.
   * @throws {ManagedIdentityError} `invalid_configuration`: it has white space or quotation marks around it, or is the
   * text `undefined` or `null`.
   */
  static withUserAssignedClientId(id: string): ManagedIdentityIdParams;

  /**
   * A user-assigned identity, by its Azure resource id.
   *
   * @param id - `/subscriptions/…/userAssignedIdentities/…`.
   * @throws {ManagedIdentityError} `missing_client_id`: it is empty or no string.
   * @throws {ManagedIdentityError} `invalid_configuration`: it has white space or quotation marks around it, or is the
   * text `undefined` or `null`.
   */
  static withUserAssignedResourceId(id: string): ManagedIdentityIdParams;

  /**
   * A user-assigned identity, by its object id.
   *
   * @param id - A GUID.
   * @throws {ManagedIdentityError} `missing_client_id`: it is empty or no string.
   * @throws {ManagedIdentityError} `invalid_configuration`: it has white space or quotation marks around it, or is the
   * text `undefined` or `null`.
   */
  static withUserAssignedObjectId(id: string): ManagedIdentityIdParams;
}

/**
 * One of the three ids of a user-assigned identity; more than one is refused with
 * `invalid_managed_identity_id_type`, an empty one, or one of blanks, with `missing_client_id`, and with
 * `invalid_configuration` one of over 2 048 bytes, one with white space or quotation marks around it, the texts
 * `undefined` and `null`, and any other key. A message shows an id only if it has the form of one.
 *
 * Beware of an environment variable that is not set: `undefined` means absent, which is the system-assigned
 * identity. Therefore, and as in msal-node, an id that may be `undefined` does not compile under
 * `exactOptionalPropertyTypes`, unlike other options: leave the id out where that is what you mean.
 *
 * @see https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-manage-user-assigned-managed-identities
 */
export type ManagedIdentityIdParams = {
  /**
   * The client id (application id) of a user-assigned identity, a GUID.
   *
   * Default: absent. Not taken by Cloud Shell and Service Fabric.
   */
  userAssignedClientId?: string;

  /**
   * The Azure resource id of a user-assigned identity, `/subscriptions/…/userAssignedIdentities/…`.
   *
   * Default: absent. Not taken by Cloud Shell, Machine Learning, Service Fabric and workload identity.
   */
  userAssignedResourceId?: string;

  /**
   * The object id (principal id) of a user-assigned identity, a GUID.
   *
   * Default: absent. Not taken by Cloud Shell, Machine Learning, Service Fabric and workload identity.
   */
  userAssignedObjectId?: string;

  /**
   * **New.** The client id or the Azure resource id of a user-assigned identity, told apart by its shape: a GUID,
   * or `/subscriptions/…/resourceGroups/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/…`, its words in
   * any case. Anything else is refused with `invalid_configuration`.
   *
   * Default: absent.
   */
  userAssignedId?: string;
};

/**
 * How requests are made, retried, limited in time and logged.
 */
export type NodeSystemOptions = {
  /**
   * Where log lines go, and which.
   *
   * Default: silent. Lines come through the event loop, normally before the promise settles; under a flood
   * and at exit some may be lost. A callback that throws, rejects or is slow harms no acquisition.
   */
  loggerOptions?: LoggerOptions;

  /**
   * An HTTP client of the caller's, through which every request then goes.
   *
   * Default: the native client. A rejection whose `code` is `ECONNREFUSED`, `ECONNRESET` or `ETIMEDOUT`
   * counts as that fault and is retried as such; one with `EADDRNOTAVAIL`, `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`,
   * `EACCES` or `EPERM` as a fault of this process itself, which is retried once; every other rejection is not.
   * Limits: an object with both methods, else `invalid_configuration`. Also refused with `invalid_configuration` on
   * Service Fabric, whose certificate a caller's client cannot be made to pin. The client gets the endpoint's
   * secrets in its headers. It must not follow redirects.
   */
  networkClient?: INetworkModule;

  /**
   * Whether an acquisition is limited to a single request, for callers with a retry loop of their own.
   *
   * Default: `false`. Limits: a boolean, else `invalid_configuration`. Azure Arc's second request, the answer to its
   * challenge, is made in any case; so is the one that follows an answer which names another `resource` than the one
   * asked for.
   */
  disableInternalRetries?: boolean;

  /**
   * **New.** How often a request is retried, and after what delays, in place of the source's own numbers.
   *
   * Default: those in docs/wire-protocol.md. Limits: an object, else `invalid_configuration`; unknown keys are
   * ignored. What is retried stays the same, and so does Azure Arc's second request. `disableInternalRetries` wins over
   * it.
   */
  retryOptions?: RetryOptions | null | undefined;

  /**
   * **New.** Called after each refresh that ran behind callers, with what it brought.
   *
   * Default: none. Limits: a function, else `invalid_configuration`. It comes through the event loop of the
   * application that started the refresh; what it returns, throws or rejects with is ignored.
   *
   * @see https://learn.microsoft.com/dotnet/api/microsoft.identity.client.abstractapplicationbuilder-1
   */
  onBackgroundTokenRefresh?: ((ended: BackgroundTokenRefresh) => void) | null | undefined;

  /**
   * **New.** Whether a workload identity's requests go to the token proxy of its AKS cluster (identity bindings),
   * by the environment variables that name it: `AZURE_KUBERNETES_TOKEN_PROXY`, an https URL;
   * `AZURE_KUBERNETES_SNI_NAME`, the name that its certificate has, if that is not the URL's host; and at most one
   * of `AZURE_KUBERNETES_CA_FILE`, a PEM file, and `AZURE_KUBERNETES_CA_DATA`, PEM text, with the certificates that
   * alone vouch for it.
   *
   * Default: `false`. Limits: a boolean, else `invalid_configuration`. Without `AZURE_KUBERNETES_TOKEN_PROXY`
   * Microsoft Entra is asked itself. Without certificates the trust roots of the process count. A variable that is
   * wrong, or set without the first, is `invalid_configuration` before any request; so is a `networkClient` beside a
   * name or certificates, which it would have to know. `HTTPS_PROXY` has no part in such requests, and other sources
   * have no such proxy.
   *
   * @see https://learn.microsoft.com/azure/aks/identity-bindings-concepts
   */
  enableAzureProxy?: boolean | null | undefined;

  /**
   * Has no meaning for a managed identity and is ignored; declared so that options typed by msal-node
   * compile.
   */
  protocolMode?: "AAD" | "OIDC" | "EAR";

  /**
   * **New.** How long one connection attempt may take, in milliseconds.
   *
   * Default: 3 000. Limits: 1 to 600 000, else `invalid_configuration`. When it runs out, the attempt is
   * retried once, then fails with `network_unavailable`. A `networkClient` does not see it.
   */
  connectTimeout?: number | null | undefined;

  /**
   * **New.** How long one HTTP exchange may take, connecting and reading the body included, in milliseconds.
   *
   * Default: 10 000, and 30 000 for the last attempt after one that ran out of time. Limits: 1 to 600 000, else
   * `invalid_configuration`; what is given holds for every attempt. When it runs out, the exchange is retried
   * once, then fails with `network_unavailable`. Reading a federated token or Azure Arc's key may take as long; it
   * fails with `unable_to_read_secret_file` then.
   */
  requestTimeout?: number | null | undefined;

  /**
   * **New.** How long one acquisition may take, retries and the waits between them included, in milliseconds.
   *
   * Default: 120 000. Limits: 1 to 600 000, else `invalid_configuration`. When it runs out, the acquisition
   * fails with `network_unavailable`. A request's own `timeout` replaces it.
   */
  totalTimeout?: number | null | undefined;
};

/**
 * How often a request is retried, and after what delays, under the names of the Azure SDK.
 */
export type RetryOptions = {
  /**
   * How many retries one acquisition makes at most, whatever made them necessary.
   *
   * Default: the source's own number for each status and fault. Limits: a whole number from 0 to 10, else
   * `invalid_configuration`. A 429 without `Retry-After` is retried 7 times at most. `retryIdentityNotFound` adds
   * retries of its own.
   */
  maxRetries?: number | null | undefined;

  /**
   * How long the first delay is, in milliseconds; each further one is twice as long. Up to 20 % is added at random.
   *
   * Default: the source's own delays. Limits: 0 to 600 000, else `invalid_configuration`. The random delays after
   * a 429 without `Retry-After` are limited by `maxRetryDelayInMs` only.
   */
  retryDelayInMs?: number | null | undefined;

  /**
   * How long a delay is at most, in milliseconds. What is given includes the random part.
   *
   * Default: 64 000 for the delays that `retryDelayInMs` makes, else the source's own. Limits: 0 to 600 000, else
   * `invalid_configuration`. If this option is given and an endpoint asks for a longer delay by `Retry-After`, it is
   * not asked again: the acquisition fails at once, with `retryable` and `retryAfterMs`.
   */
  maxRetryDelayInMs?: number | null | undefined;
};

/**
 * What is asked for, when it is more than a resource.
 */
export type ManagedIdentityRequestParams = {
  /**
   * The resource that the token is for: an absolute URI (`https://…`, `api://…`, `urn:…`) or a GUID.
   *
   * One trailing `/.default` is removed. Otherwise it is sent as given and never normalised:
   * `https://vault.azure.net` and `https://vault.azure.net/` are two audiences. White space, control
   * characters, anything that is no absolute URI, and anything over 2 048 bytes reject with
   * `invalid_resource`, before any request.
   */
  resource: string;

  /**
   * Whether the cache is skipped; the new token replaces the cached one.
   *
   * Default: `false`. Limits: a boolean, else `invalid_configuration`.
   */
  forceRefresh?: boolean;

  /**
   * The claims challenge of a resource that refused a token, as a JSON string; the cache is skipped, and the
   * new token replaces the cached one.
   *
   * Default: absent, also for an empty string. Limits: a string, else `invalid_configuration`. The claims themselves
   * are never sent to a managed identity endpoint; on Service Fabric the SHA-256 of the cached token is. A workload
   * identity asks Microsoft Entra itself: there they are sent, merged with the client capabilities, which replace an
   * `xms_cc` in them. Text that is not a JSON object, such as one that is still in base64, is `invalid_configuration`
   * there before any request.
   *
   * @see https://learn.microsoft.com/entra/identity-platform/claims-challenge
   */
  claims?: string;

  /**
   * **New.** Ends this call when it is aborted, or at once when it already is; the promise rejects with the
   * signal's reason.
   *
   * Default: absent. Limits: an `AbortSignal` or the like, else `invalid_configuration`. The request goes on for
   * others who wait for it. When the last has left, a request that was sent goes on and its token is cached, but
   * nothing further is sent, and the process is not kept alive.
   */
  abortSignal?: AbortSignalLike | null | undefined;

  /**
   * **New.** How long this acquisition may take, in milliseconds; replaces `totalTimeout`.
   *
   * Default: the application's `totalTimeout`. Limits: 1 to 600 000, else `invalid_configuration`. When it
   * runs out, the call rejects with `network_unavailable`.
   */
  timeout?: number | null | undefined;

  /**
   * **New.** For how long an answer that the identity is not found is not believed, in milliseconds: for
   * deployments that assign an identity and use it at once. For a workload identity the same holds for a federated
   * credential (`AADSTS70021`, `AADSTS700213`, `AADSTS501661`).
   *
   * Default: absent, no such retry. Limits: 1 to 600 000, else `invalid_configuration`. The waits are 1 s,
   * doubling to 10 s. `totalTimeout` and `disableInternalRetries` still hold. It adds to the retries that a 404
   * has anyway, and calls share a request only with calls of the same value.
   */
  retryIdentityNotFound?: number | null | undefined;

  /** Not a field, and refused: the signal belongs in `abortSignal`. */
  signal?: never;

  /** Not a field, and refused: give `resource`, or a list of one scope as `scopes`. */
  scope?: never;
};

/**
 * **New.** What the tokens of `bearerToken` are asked for with, beside the resource.
 */
export type BearerTokenOptions = Omit<ManagedIdentityRequestParams, "resource">;

/**
 * **New.** A request in the shape of MSAL.NET's first versions: a list of exactly one scope in place of a resource.
 *
 * None or several are refused with `exactly_one_scope_expected`.
 */
export type ManagedIdentityScopesRequest = Omit<ManagedIdentityRequestParams, "resource"> & {
  /**
   * One scope, such as `"https://management.azure.com/.default"`. If an untyped caller gives a `resource` too, that
   * counts.
   */
  scopes: string[];
};

/**
 * What a client of the Azure SDK asks for besides a scope, as `@azure/core-auth` declares it; other options are
 * ignored.
 *
 * @see https://learn.microsoft.com/javascript/api/@azure/core-auth/gettokenoptions
 */
export interface GetTokenOptions {
  /**
   * Ends this call when it is aborted.
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
     * Default: the application's `totalTimeout`, also for 0. Limits: 0 to 600 000, else `invalid_configuration`.
     */
    timeout?: number;
  };

  /**
   * The claims challenge of a service that refused a token: the cache is skipped, and the new token replaces the
   * cached one. What becomes of it is said at `claims` of a request to `acquireToken`.
   *
   * Default: absent.
   */
  claims?: string;

  /**
   * Whether the client handles claims challenges of continuous access evaluation: the capability `CP1` then goes
   * along, and the token is cached apart from others.
   *
   * Default: `false`. Limits: a boolean, else `invalid_configuration`.
   */
  enableCae?: boolean;

  /**
   * The tenant that the token must be of, as a GUID. A managed identity has tokens of its own tenant only: any
   * other is refused with `invalid_configuration`, by the token's own `tid` claim.
   *
   * Default: absent. An opaque token (not a JWT) is not checked. `common`, `organizations`, `consumers` and domain
   * names are ignored: they name no other tenant that could be compared.
   */
  tenantId?: string;
}

/**
 * A token as clients of the Azure SDK take it.
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
   * When a client should ask again, in milliseconds since 1970: the half of the token's lifetime.
   *
   * Undefined when the token lives for up to two hours.
   */
  refreshAfterTimestamp?: number;

  /**
   * How the token is to be presented.
   */
  tokenType: "Bearer";
}

/**
 * How long a probe may take.
 */
export type AvailabilityOptions = {
  /**
   * How long an answer is waited for, in milliseconds.
   *
   * Default: 1 000. Limits: 1 to 600 000, else `invalid_configuration`.
   */
  timeout?: number | null | undefined;
};

/**
 * What a probe found.
 */
export type Availability = {
  /**
   * Whether the endpoint answered.
   */
  available: boolean;

  /**
   * The source that was asked: what `getManagedIdentitySource()` says.
   */
  source: ManagedIdentitySourceNames;

  /**
   * Why there is none, and what may help; absent when it is available.
   */
  reason?: string;
};

/**
 * How a refresh behind callers ended.
 *
 * @see https://learn.microsoft.com/dotnet/api/microsoft.identity.client.extensibility.executionresult
 */
export type BackgroundTokenRefresh =
  | {
      /** It brought a token. */
      successful: true;
      /** The new token, with a result's fields. */
      result: AuthenticationResult;
      /** Absent. */
      error?: undefined;
    }
  | {
      /** It failed; the cached token is served as before. */
      successful: false;
      /** Why. */
      error: ManagedIdentityError;
      /** Absent. */
      result?: undefined;
    };

/**
 * Facts about one call, as MSAL.NET's `AuthenticationResultMetadata` has them; frozen. All durations are in
 * milliseconds.
 *
 * @see https://learn.microsoft.com/dotnet/api/microsoft.identity.client.authenticationresultmetadata
 */
export type AuthenticationMetadata = {
  /**
   * Where the token came from; absent when there is none.
   */
  readonly tokenSource?: "IdentityProvider" | "Cache";

  /**
   * Why the endpoint was asked: `"NotApplicable"` when it was not, `"ProactivelyRefreshed"` also when that
   * happens behind this call.
   */
  readonly cacheRefreshReason:
    | "NotApplicable"
    | "ForceRefreshOrClaims"
    | "NoCachedAccessToken"
    | "Expired"
    | "ProactivelyRefreshed";

  /**
   * How long this call took; 0 when the token was in memory.
   */
  readonly durationTotalInMs: number;

  /**
   * How long the requests took, all together.
   */
  readonly durationInHttpInMs: number;

  /**
   * How long a cache outside of the process took.
   */
  readonly durationInCacheInMs: number;

  /**
   * How many requests were sent, by whoever waits for the same token.
   */
  readonly attempts: number;

  /**
   * The endpoint, without its query.
   */
  readonly tokenEndpoint: string;
};

/**
 * The part of an `AbortSignal` that is used here; the global one satisfies it, and so does `AbortSignalLike`
 * of `@azure/abort-controller`.
 *
 * @see https://nodejs.org/api/globals.html#class-abortsignal
 */
export interface AbortSignalLike {
  /**
   * Whether the signal has been aborted.
   */
  readonly aborted: boolean;

  /**
   * What an aborted call rejects with.
   *
   * Default: an `AbortError`, for signals that know no reason.
   */
  readonly reason?: unknown;

  /**
   * Registers a function to be called when the signal is aborted.
   *
   * @param type - Always `"abort"`.
   * @param listener - Called without arguments that matter.
   * @param options - `once`: whether the listener goes after its first call.
   */
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;

  /**
   * Takes back a function that was registered.
   *
   * @param type - Always `"abort"`.
   * @param listener - The function that was registered.
   */
  removeEventListener(type: "abort", listener: () => void): void;
}

/**
 * A token and what belongs to it; fields that only make sense for a signed-in user have the fixed values that
 * msal-node gives them for a managed identity.
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
   * What the token was asked for: the resource, without `/.default`, as the only element.
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
   * When the token expires, as far as the endpoint is believed: no later than the earlier of what its `expires_on` and
   * `expires_in` say, the `exp` of a JWT that is valid now, and 48 hours from its arrival. Where a test has moved
   * `Date.now()` by more than five seconds, it is by that clock.
   *
   * Never `null` here. When no expiry could be read, it is the time of the call, and the token is not cached.
   */
  expiresOn: Date | null;

  /**
   * The same as `expiresOn`: a managed identity has no extended lifetime.
   */
  extExpiresOn?: Date;

  /**
   * The half of the token's lifetime, from when a call starts a refresh behind itself.
   *
   * Undefined when the token lives for up to two hours.
   */
  refreshOn?: Date;

  /**
   * How the token is to be presented: `"Bearer"`.
   */
  tokenType: string;

  /**
   * A GUID made for this call; on IMDS a request that the call starts bears it as `x-ms-client-request-id`.
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
   * **New.** Facts about this call: where the token came from, why, and how long it took. Always set here;
   * optional so that results of msal-node fit the type.
   */
  metadata?: AuthenticationMetadata;
};

/**
 * A signed-in account, as msal-node describes it; declared for the type of `AuthenticationResult.account`,
 * which is always `null` here.
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
  /** The region that the account's data stay in. */
  dataBoundary?: "EU" | "None";
  /** Whether the user chose to stay signed in. */
  kmsi?: boolean;
};

/**
 * What differs between the tenants of an account; see `AccountInfo`.
 */
export type TenantProfile = Pick<
  AccountInfo,
  "tenantId" | "localAccountId" | "name" | "username" | "loginHint" | "upn" | "nativeAccountId"
> & {
  /** Whether this is the account's home tenant. */
  isHomeTenant?: boolean;
};

/**
 * Where log lines go, and which.
 */
export type LoggerOptions = {
  /**
   * Called with each line.
   *
   * Default: no logging. Limits: a function, else `invalid_configuration`. One that throws, rejects or is slow never
   * breaks or delays an acquisition.
   */
  loggerCallback?: ILoggerCallback;

  /**
   * Whether lines that may hold personal data are passed on; there are none, so it changes nothing.
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
   * Ignored: each line bears the correlation id of its own call. Declared so that options typed by msal-node
   * compile.
   */
  correlationId?: string;
};

/**
 * Takes one log line, in msal-node's format; what it returns or throws is ignored.
 *
 * Lines normally arrive before the promise settles; under a flood, and at exit, some may be lost.
 */
export type ILoggerCallback = (level: LogLevel, message: string, containsPii: boolean) => void;

/**
 * The severity of a log line, from the most to the least severe.
 */
export declare enum LogLevel {
  /** Something failed, and a caller got to know. */
  Error = 0,
  /** Something failed that no caller notices, such as a refresh behind a caller. */
  Warning = 1,
  /** What happened, in a few lines for each acquisition; the default. */
  Info = 2,
  /** Each step of an acquisition. */
  Verbose = 3,
  /** Everything else. */
  Trace = 4,
}

/**
 * An HTTP client of the caller's, as msal-node declares it.
 */
export interface INetworkModule {
  /**
   * Sends a GET request and resolves with the answer, whatever its status.
   *
   * @param url - Where to, its query included.
   * @param options - Headers to send.
   * @param timeout - Never given here: `requestTimeout` ends the exchange. Declared as msal-node does.
   */
  sendGetRequestAsync<T>(
    url: string,
    options?: NetworkRequestOptions,
    timeout?: number,
  ): Promise<NetworkResponse<T>>;

  /**
   * Sends a POST request and resolves with the answer, whatever its status.
   *
   * @param url - Where to, its query included.
   * @param options - Headers and body to send.
   */
  sendPostRequestAsync<T>(url: string, options?: NetworkRequestOptions): Promise<NetworkResponse<T>>;
}

/**
 * What a request of `INetworkModule` sends besides its URL.
 */
export type NetworkRequestOptions = {
  /**
   * The headers, by name; they may hold secrets.
   *
   * Default: none.
   */
  headers?: Record<string, string>;

  /**
   * The body, encoded as the `Content-Type` header says.
   *
   * Default: none.
   */
  body?: string;

  /**
   * Never given here; declared as msal-node does.
   *
   * Default: absent.
   */
  correlationId?: string;
};

/**
 * What a request of `INetworkModule` resolves with.
 */
export type NetworkResponse<T> = {
  /**
   * The headers, by name in any case: `WWW-Authenticate`, `Retry-After` and `Date` are read.
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
 * The base of the errors of this package, as in msal-node; what is caught is a `ManagedIdentityError`.
 */
export declare class AuthError extends Error {
  /**
   * Makes an error whose message is `"<errorCode>: <errorMessage>"`, or the code alone when no words are
   * given.
   *
   * @param errorCode - The stable code.
   * @param correlationId - The id of the call.
   * @param errorMessage - The words.
   * @param suberror - A finer code.
   */
  constructor(
    errorCode: ManagedIdentityErrorCode | (string & {}),
    correlationId: string,
    errorMessage?: string,
    suberror?: string,
  );

  /**
   * The stable code, to compare with `ManagedIdentityErrorCodes`; it may also be a code of the service's own.
   */
  errorCode: ManagedIdentityErrorCode | (string & {});

  /**
   * What was tried, what came back, and the remedy where it is known. The service's sentence is quoted whole, up to 500
   * characters; the service's `error_codes`, ids and timestamp come after it.
   */
  errorMessage: string;

  /**
   * A finer code: always `""` in errors that this package raises.
   */
  subError: string;

  /**
   * The correlation id of the service where it sent one, else that of the call.
   */
  correlationId: string;
}

/**
 * What a constructor throws and `acquireToken` rejects with, aborted calls excepted.
 *
 * No message, stack or field ever holds a token, a secret header or an Azure Arc key.
 */
export declare class ManagedIdentityError extends AuthError {
  /**
   * Makes an error as this package would; for tests of code that handles such errors.
   *
   * Without `details` it has a general message, `retryable` is `false`, and the fields that describe an exchange are
   * absent.
   *
   * @param errorCode - The stable code.
   * @param correlationId - The id of the call; in a test, any text.
   * @param details - **New.** What else the error says; default: nothing.
   */
  constructor(
    errorCode: ManagedIdentityErrorCode | (string & {}),
    correlationId: string,
    details?: ManagedIdentityErrorDetails | null,
  );

  /**
   * The error's class: `"ManagedIdentityError"`.
   */
  name: string;

  /**
   * **New.** The same as `errorCode`, where Node.js keeps the code of an error.
   */
  readonly code: ManagedIdentityErrorCode | (string & {});

  /**
   * **New.** The HTTP status of the last answer; absent when there was none.
   */
  readonly statusCode?: number;

  /**
   * The same as `statusCode`, by the name that msal-node's `ServerError` has for it.
   */
  readonly status?: number;

  /**
   * The first of the service's `error_codes`, as it sent it; absent when it sent none. Entra sends numbers, such as
   * `70021`, which msal-node's `ServerError` has here too, though it declares a string.
   */
  readonly errorNo?: number | string;

  /**
   * **New.** The source that was asked, or that refused the options by itself; absent before one is known.
   */
  readonly source?: ManagedIdentitySourceNames;

  /**
   * **New.** The URL that was asked, without its query; absent when none was.
   */
  readonly endpoint?: string;

  /**
   * **New.** How many requests were made for this acquisition, retries included: 0 when the endpoint was to
   * be asked and could not be; absent when it never came to that.
   */
  readonly attempts?: number;

  /**
   * **New.** Whether the same call may succeed later with nothing changed; retries were made already unless
   * `disableInternalRetries` is set.
   */
  readonly retryable: boolean;

  /**
   * **New.** How long the endpoint asked to wait, by `Retry-After`, in milliseconds; absent when it did not.
   *
   * At most a day. Where nothing was sent because an earlier 429 asked for a pause: what is left of that pause.
   */
  readonly retryAfterMs?: number;

  /**
   * **New.** The fault underneath, such as that of a socket, or the redacted words of a `networkClient`; absent
   * when there is none.
   */
  readonly cause?: unknown;

  /**
   * **New.** Facts about the call; absent when it never came to asking an endpoint.
   */
  readonly metadata?: AuthenticationMetadata;
}

/**
 * **New.** What `getToken` rejects with where there is no managed identity, so that a chain of credentials tries
 * the next one: the metadata service does not answer, or something else answers at its address; a configured endpoint
 * cannot be reached or does not know the identity; the token file of a workload identity is missing; the environment
 * has none of the sources that `source` allows. docs/azure-sdk.md lists when.
 */
export declare class CredentialUnavailableError extends ManagedIdentityError {
  /**
   * The error's class, by which `ChainedTokenCredential` goes: `"CredentialUnavailableError"`.
   */
  name: string;
}

/**
 * **New.** What an error says beside its code and the id of its call, each as the field of the error; `message` is
 * what stands after the code.
 */
export type ManagedIdentityErrorDetails = {
  /**
   * The words after the code: the error's `errorMessage`.
   *
   * Default: a general sentence.
   */
  message?: string | undefined;
  /** The HTTP status of the last answer; it sets the error's `status`, too. Default: absent. */
  statusCode?: number | undefined;
  /** The first of the service's `error_codes`. Default: absent. */
  errorNo?: number | string | undefined;
  /** Whether the same call may succeed later. Default: `false`. */
  retryable?: boolean | undefined;
  /** The source that was asked. Default: absent. */
  source?: ManagedIdentitySourceNames | undefined;
  /** The URL that was asked, without its query. Default: absent. */
  endpoint?: string | undefined;
  /** How many requests were made. Default: absent. */
  attempts?: number | undefined;
  /** How long the endpoint asked to wait, in milliseconds. Default: absent. */
  retryAfterMs?: number | undefined;
  /** A finer code. Default: `""`. */
  subError?: string | undefined;
  /** Facts about the call; the error freezes them. Default: absent. */
  metadata?: AuthenticationMetadata | undefined;
  /** The fault underneath. Default: absent. */
  cause?: unknown;
};

/**
 * **New.** Tells whether an error is a `ManagedIdentityError`, also one of another copy of this package or of another
 * realm, of which `instanceof` says no: in Jest, in a bundle, or where two versions are installed.
 *
 * Never throws. An error that was cloned, as `structuredClone` and `postMessage` do, has lost its class: `false`.
 *
 * @param error - Anything.
 */
export declare function isManagedIdentityError(error: unknown): error is ManagedIdentityError;

/**
 * **New.** The codes that an error of this package can have: those of `ManagedIdentityErrorCodes`, and those by which
 * the services are known to refuse. A service may name others, so that `errorCode` is any string.
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
 * The error codes that this package and msal-node know, by name; frozen.
 *
 * msal-node raises errors with these codes, but exports no names for them. Those that nothing here raises are kept, for
 * code that handles errors of both.
 */
export declare const ManagedIdentityErrorCodes: {
  /** Azure Arc named a key file that does not end in `.key`. */
  readonly invalidFileExtension: "invalid_file_extension";
  /** Azure Arc named a key file outside of its agent's directory. */
  readonly invalidFilePath: "invalid_file_path";
  /** More than one id was given, or one of a kind that the source does not take. */
  readonly invalidManagedIdentityIdType: "invalid_managed_identity_id_type";
  /** Azure Arc's key file is empty or has over 4 096 bytes. */
  readonly invalidSecret: "invalid_secret";
  /** An id was given that is empty or no string. */
  readonly missingId: "missing_client_id";
  /** No answer came within the connect, request or total timeout. */
  readonly networkUnavailable: "network_unavailable";
  /** Azure Arc's challenge was met with on neither Linux nor Windows. */
  readonly platformNotSupported: "platform_not_supported";
  /** Not raised here; older versions of msal-node had it for a user-assigned identity on Azure Arc. */
  readonly unableToCreateAzureArc: "unable_to_create_azure_arc";
  /** A user-assigned identity was asked for in Cloud Shell. */
  readonly unableToCreateCloudShell: "unable_to_create_cloud_shell";
  /** Not raised here; msal-node's for an environment without a source. */
  readonly unableToCreateSource: "unable_to_create_source";
  /** Azure Arc's key file, or a workload identity's token file, is no regular file or cannot be read. */
  readonly unableToReadSecretFile: "unable_to_read_secret_file";
  /** Not raised here; msal-node's for a URL that cannot be parsed. */
  readonly urlParseError: "url_parse_error";
  /** A user-assigned identity was asked for on Service Fabric. */
  readonly userAssignedNotAvailableAtRuntime: "user_assigned_not_available_at_runtime";
  /** Azure Arc answered for another identity than the one asked for. */
  readonly userAssignedManagedIdentityNotConfirmed: "user_assigned_managed_identity_not_confirmed";
  /** Azure Arc's challenge has no `WWW-Authenticate` header. */
  readonly wwwAuthenticateHeaderMissing: "www_authenticate_header_missing";
  /** Azure Arc's `WWW-Authenticate` header has no challenge `Basic realm=<path>`. */
  readonly wwwAuthenticateHeaderUnsupportedFormat: "www_authenticate_header_unsupported_format";
  /** The codes for environment variables that are no http or https URL, by the variable's name; frozen. */
  readonly MsiEnvironmentVariableUrlMalformedErrorCodes: {
    /** That variable is no http or https URL. */
    readonly AZURE_POD_IDENTITY_AUTHORITY_HOST: "azure_pod_identity_authority_host_url_malformed";
    /** That variable is no http or https URL; on Service Fabric, no https URL. */
    readonly IDENTITY_ENDPOINT: "identity_endpoint_url_malformed";
    /** That variable is no http or https URL. */
    readonly IMDS_ENDPOINT: "imds_endpoint_url_malformed";
    /** That variable is no http or https URL. */
    readonly MSI_ENDPOINT: "msi_endpoint_url_malformed";
  };
  /** **New.** An option or a request field has a wrong type or value, or the source cannot honour it. */
  readonly invalidConfiguration: "invalid_configuration";
  /** **New.** `getToken` was given no scope, or several. */
  readonly exactlyOneScopeExpected: "exactly_one_scope_expected";
  /** **New.** Service Fabric's thumbprint is no SHA-1, or the server's certificate has another. */
  readonly invalidServerThumbprint: "invalid_server_thumbprint";
  /** The resource is no absolute URI and no GUID, or the service does not know it. */
  readonly invalidResource: "invalid_resource";
  /** The endpoint's answer held neither a usable token nor an error code. */
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
   * A server outside of Azure with the Azure Arc agent.
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
   * The Instance Metadata Service, when no other source is configured: virtual machines, scale sets and
   * whatever else serves it.
   *
   * @see https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
   */
  readonly DEFAULT_TO_IMDS: "DefaultToImds";
  /** The Instance Metadata Service; never answered, as in msal-node. */
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
 * The name of a source, one of the values of the object of the same name.
 */
export type ManagedIdentitySourceNames =
  (typeof ManagedIdentitySourceNames)[keyof typeof ManagedIdentitySourceNames];

/**
 * **New.** The channels of `node:diagnostics_channel` on which this package tells what it does, by name, each with the
 * type of its messages. No message holds a token or a secret. Subscribing costs nothing but what the subscriber does;
 * without subscribers nothing is told.
 *
 * @example
 * import { channel } from "node:diagnostics_channel";
 * channel("managed-identity-native:retry").subscribe((message) => {
 *   const { waitInMs } = message as DiagnosticsChannels["managed-identity-native:retry"];
 * });
 * @see https://nodejs.org/api/diagnostics_channel.html
 */
export interface DiagnosticsChannels {
  /** A call of `acquireToken` or `getToken` starts. */
  "managed-identity-native:acquire:start": AcquireMessage;
  /** It ended; the message is the same object, completed. */
  "managed-identity-native:acquire:end": AcquireMessage;
  /** An HTTP request ended. */
  "managed-identity-native:request": RequestMessage;
  /** A request failed and is tried again. */
  "managed-identity-native:retry": RetryMessage;
  /** A refresh behind callers ended. */
  "managed-identity-native:refresh": RefreshMessage;
}

/**
 * A call, from its start to its end.
 */
export interface AcquireMessage {
  /** What was asked for, as the caller gave it. */
  resource: unknown;
  /**
   * The id of the call, by which its requests, retries and log lines can be found; from its end on, and absent where it
   * was aborted. The service's own id is the error's `correlationId`.
   */
  correlationId?: string;
  /** Whether the token was in the cache; from its end on, if there is one. */
  fromCache?: boolean;
  /** When the token expires; from its end on, if there is one. */
  expiresOn?: Date | null;
  /** The code of its error; from its end on, if it failed. */
  errorCode?: string;
  /** What the call rejected with; from its end on, if it failed. */
  error?: unknown;
  /** Facts about the call; from its end on. */
  metadata?: AuthenticationMetadata;
}

/**
 * What every event of a request has.
 */
export interface FlightMessage {
  /** The id of the call that started the request; others may wait for the same. */
  correlationId: string;
  /** What the token is for. */
  resource: string;
  /** The source that is asked. */
  source: ManagedIdentitySourceNames;
  /** The endpoint, without its query. */
  endpoint: string;
}

/**
 * An HTTP request that ended.
 */
export interface RequestMessage extends FlightMessage {
  /** Its number, from 1. */
  attempt: number;
  /** The status of the answer; absent without one. */
  statusCode?: number;
  /** What came in place of an answer: a code as Node.js has it where there is one, such as `ECONNRESET`. */
  fault?: string;
  /** How long it took, in milliseconds. */
  durationInMs: number;
}

/**
 * A request that failed and is tried again.
 */
export interface RetryMessage extends FlightMessage {
  /** The number of the request that failed, from 1. */
  attempt: number;
  /** How long it is waited, in milliseconds. */
  waitInMs: number;
  /** The status of the answer; absent without one. */
  statusCode?: number;
  /** The code that the call would have failed with. */
  errorCode: string;
  /** Its words. */
  errorMessage: string;
}

/**
 * A refresh behind callers that ended.
 */
export interface RefreshMessage extends FlightMessage {
  /** When the new token expires; absent if none came. */
  expiresOn?: Date;
  /** The code of its error; absent if a token came. */
  errorCode?: string;
  /** The words of its error; absent if a token came. */
  errorMessage?: string;
  /** The status of the answer that failed; absent without one. */
  statusCode?: number;
  /** Facts about the refresh. */
  metadata?: AuthenticationMetadata;
}
