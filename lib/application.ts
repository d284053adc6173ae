/*
 * The public class ManagedIdentityApplication, on top of the native binding. It shapes arguments, throws the failures
 * that native code returns as values, and serves fresh tokens from the memo. It contains no policy: src/ decides which
 * options are valid, how long a token is fresh, and what an error says.
 */

import type * as contract from "../index.js";
import { checkAbortSignal } from "./abort.js";
import { readOptions } from "./application-options.js";
import { notifyBackgroundRefresh, type OnBackgroundTokenRefresh } from "./background-refresh.js";
import { attachCache } from "./cache-plugin.js";
import { type Callbacks, registerCallbacks } from "./call-callbacks.js";
import { networkClientId, wrapLoggerCallback, wrapNetworkClient } from "./callback-adapters.js";
import { getQueue } from "./completion-queue.js";
import { ManagedIdentitySourceNames } from "./constants.js";
import { nextCorrelationId } from "./correlation-id.js";
import { acquireChannels, openedChannels } from "./diagnostics-channels.js";
import { countVariables, type EnvironmentSnapshot, isCurrent, snapshotEnvironment } from "./environment.js";
import { CredentialUnavailableError, ManagedIdentityError, requireId, throwError } from "./errors.js";
import { isFailure, toError } from "./failures.js";
import { identityFromEnvironment } from "./identity-from-environment.js";
import { inspectApplication } from "./inspect.js";
import { rejectMisspeltIds } from "./misspelt-options.js";
import { type AcquisitionOutcome, binding, type NativeApplication } from "./native-binding.js";
import { nextCallNumber, PendingCall } from "./pending-call.js";
import {
  extraRequestFields,
  hasNoOptions,
  isObjectPrototypePolluted,
  isResourceOnlyRequest,
  ownFields,
  type Request,
  type RequestFields,
  rejectMisspeltFields,
} from "./request.js";
import {
  normalizeToken,
  resultToAccessToken,
  type TokenResult,
  toAccessToken,
  toAuthenticationResult,
  withoutNull,
} from "./result.js";
import { option, promiseThen } from "./safe-objects.js";
import { isSystemClock } from "./system-clock.js";
import { toTokenRequest } from "./token-credential.js";
import { forgetReplacedTokens, TokenMemo } from "./token-memo.js";

const { generation } = binding;

/** The audience of a managed identity token that is used as a client assertion. */
const TOKEN_EXCHANGE_AUDIENCE = "api://AzureADTokenExchange";

export class ManagedIdentityApplication {
  readonly #native: NativeApplication;
  readonly #memo = new TokenMemo();
  /** The memo for CAE-enabled calls, whose tokens are cached separately. */
  #caeMemo: TokenMemo | undefined;
  readonly #onBackgroundTokenRefresh: OnBackgroundTokenRefresh | undefined;
  /** The functions that native code calls for this application; undefined if there are none. */
  #callbacks: Callbacks | undefined;
  /** The environment that this application last used, and how many variables, from the front, determined the source. */
  #environment: EnvironmentSnapshot | undefined;
  #relevantVariables = 0;

  constructor(configuration?: contract.ManagedIdentityConfiguration | null) {
    const options = readOptions(configuration);
    const { networkClient, loggerCallback, cache, cacheDirectory, cachePlugin } = options;
    rejectMisspeltIds(configuration, options.managedIdentityIdParams);
    const send = wrapNetworkClient(networkClient);
    const writeLine = wrapLoggerCallback(loggerCallback);
    const native = binding.createApplication(
      options,
      networkClientId(networkClient),
      writeLine !== undefined,
    );
    if (isFailure(native)) throw new ManagedIdentityError(native.errorCode, "", native);
    const access = cache === undefined ? undefined : attachCache(native, cacheDirectory, cachePlugin);
    this.#native = native;
    const onRefresh = options.onBackgroundTokenRefresh as OnBackgroundTokenRefresh | null | undefined;
    this.#onBackgroundTokenRefresh = onRefresh ?? undefined;
    if (send !== undefined || access !== undefined || writeLine !== undefined) {
      this.#callbacks = { ...(send && { send }), ...(access && { access }), ...(writeLine && { writeLine }) };
    }
  }

  /** Not an async function: with thousands of concurrent calls, the state of each would be most of their cost. */
  acquireToken(
    request: string | contract.ManagedIdentityRequestParams | contract.ManagedIdentityScopesRequest,
  ): Promise<TokenResult> {
    try {
      const safeRequest: Request = isObjectPrototypePolluted() ? ownFields(request) : request;
      const resource = typeof safeRequest === "string" ? safeRequest : safeRequest?.resource;
      const channels = acquireChannels();
      if (channels !== undefined) {
        return channels.traceAcquire(resource, () => this.#acquire(this.#memo, safeRequest, resource));
      }
      return this.#acquire(this.#memo, safeRequest, resource);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  getToken(
    scopes: string | string[],
    getTokenOptions?: contract.GetTokenOptions | null,
  ): Promise<contract.AccessToken> {
    try {
      const options: RequestFields | null | undefined = isObjectPrototypePolluted()
        ? ownFields(getTokenOptions)
        : getTokenOptions;
      const enableCae = options?.enableCae; // Read once, because it selects the memo and is sent to native code.
      const memo = this.#memoFor(enableCae === true);
      const channels = acquireChannels();
      if (typeof scopes === "string" && hasNoOptions(options, enableCae) && channels === undefined) {
        const token = memo.get(scopes);
        if (token !== undefined) return Promise.resolve(toAccessToken(token));
      }
      const { scope, request } = toTokenRequest(scopes, options, enableCae);
      const acquire = () => this.#acquire(memo, request, scope, CredentialUnavailableError);
      const result = channels === undefined ? acquire() : channels.traceAcquire(scope, acquire);
      return promiseThen(result, resultToAccessToken);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #memoFor(isCae: boolean): TokenMemo {
    if (!isCae) return this.#memo;
    this.#caeMemo ??= new TokenMemo();
    return this.#caeMemo;
  }

  /** Resolves with a memoized or a native result. `Unavailable` is getToken's error class. */
  #acquire(
    memo: TokenMemo,
    request: Request,
    resource: unknown,
    Unavailable?: typeof CredentialUnavailableError,
  ): Promise<TokenResult> {
    rejectMisspeltFields(request);
    const signal = typeof request === "string" ? undefined : checkAbortSignal(request?.abortSignal);
    const isResourceOnly = typeof resource === "string" && signal !== null && isResourceOnlyRequest(request);
    const forceRefresh = typeof request === "string" ? undefined : request?.forceRefresh;
    /** The memo's key, if the memo may answer. */
    const key =
      isResourceOnly && (forceRefresh === undefined || forceRefresh === false) ? resource : undefined;
    const memoized = key === undefined ? undefined : memo.get(key);
    if (memoized !== undefined) {
      const metadata = memoized.metadataOfHit ?? memoized.metadata;
      return Promise.resolve(toAuthenticationResult(memoized, true, metadata, nextCorrelationId()));
    }

    // Calls within one millisecond that pass only a resource share one native call, hence one native waiter.
    const pending = Unavailable === undefined ? memo.pendingCalls : memo.pendingCredentialCalls;
    const now = Date.now();
    const shared = key === undefined ? undefined : pending.get(key);
    if (shared?.canShareAt(now)) return promiseThen(shared.wait(signal), shared.settleShared);
    const correlationId = nextCorrelationId();
    const environment = this.#currentEnvironment();
    const settle = (outcome: AcquisitionOutcome, id: string): TokenResult | Promise<TokenResult> => {
      if (outcome.kind === "Token") {
        const token = normalizeToken(outcome.token);
        // A test moved its clock past the token's expiry during the call.
        if (token.expiresOnMs > now && !isSystemClock() && token.expiresOnMs <= Date.now()) {
          return this.#acquire(memo, request, resource, Unavailable);
        }
        // A late response for an earlier environment must not replace a token of the current one.
        if (environment === this.#environment && typeof resource === "string") memo.set(resource, token);
        return toAuthenticationResult(token, token.fromCache, token.metadata, id);
      }
      throw toError(outcome, id, Unavailable);
    };
    const generationAtStart = generation(); // Read first, so that a clear during the call is noticed.
    forgetReplacedTokens(generationAtStart);
    this.#observe();
    const queue = getQueue();
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
    // Afterwards, because native code releases the callbacks of every call that it accepted, and of no other.
    if (this.#callbacks !== undefined) registerCallbacks(call.number, this.#callbacks);
    if (typeof outcomeOrVariables !== "number") {
      return Promise.resolve(settle(outcomeOrVariables, correlationId));
    }
    // A getter of the request can have started a call that read another environment.
    if (environment === this.#environment) this.#relevantVariables = outcomeOrVariables;
    call.start(outcomeOrVariables);
    if (key !== undefined) {
      // One function for all waiters: thousands of closures would cause long garbage collections.
      call.allowSharing(pending, key, (outcome) => settle(outcome, nextCorrelationId()));
      // A millisecond of a stopped test clock can last for minutes.
      if (!isSystemClock()) promiseThen(Promise.resolve(), () => call.stopSharing());
    }
    return promiseThen(call.wait(signal), (outcome) => settle(outcome, correlationId));
  }

  /** Returns the last snapshot of the environment, or a new one if a relevant variable changed. */
  #currentEnvironment(): EnvironmentSnapshot {
    if (this.#environment !== undefined && isCurrent(this.#environment, this.#relevantVariables)) {
      return this.#environment;
    }
    const environment = snapshotEnvironment();
    if (environment !== this.#environment) {
      // The memoized tokens belong to another environment.
      this.#memo.clear();
      this.#caeMemo?.clear();
    }
    this.#environment = environment;
    this.#relevantVariables = countVariables();
    return environment;
  }

  /** Subscribes to native events once a callback or a channel subscriber needs them. */
  #observe(): void {
    if (this.#callbacks?.onEvent !== undefined) return;
    const onRefresh = this.#onBackgroundTokenRefresh;
    if (onRefresh === undefined && !openedChannels()?.hasNativeSubscribers()) return;
    this.#callbacks ??= {};
    this.#callbacks.onEvent = (event) => {
      try {
        if (event.kind === "refresh" && onRefresh !== undefined) notifyBackgroundRefresh(event, onRefresh);
        openedChannels()?.publish(event);
      } catch {
        // A failing subscriber must not end the process.
      }
    };
    this.#native.observe();
  }

  async isAvailable(options?: contract.AvailabilityOptions | null): Promise<contract.Availability> {
    const number = nextCallNumber();
    const { native: channel } = getQueue();
    const { native: environment } = snapshotEnvironment();
    const probe = this.#native.probe(option(options, "timeout"), environment, channel, number);
    if (this.#callbacks !== undefined) registerCallbacks(number, this.#callbacks);
    const found = await probe;
    if (isFailure(found)) throw new ManagedIdentityError(found.errorCode, nextCorrelationId(), found);
    return withoutNull(found, "reason") as contract.Availability;
  }

  bearerToken(resource: string, options?: contract.BearerTokenOptions | null): () => Promise<string> {
    if (typeof options !== "object" && options !== undefined) {
      const message = `The options of bearerToken must be an object, but are a ${typeof options}.`;
      return async () => throwError("invalid_configuration", message);
    }
    const request = options === undefined || options === null ? resource : { ...options, resource };
    // Drivers pass arguments of their own, which are ignored.
    return async () => (await this.acquireToken(request)).accessToken;
  }

  clientAssertion(resource: string = TOKEN_EXCHANGE_AUDIENCE): () => Promise<string> {
    return this.bearerToken(resource);
  }

  /** Returns the text that console.log prints. */
  [Symbol.for("nodejs.util.inspect.custom")](depth: unknown, options: unknown, inspect: unknown): unknown {
    if (!(#native in this)) return this; // `this` is the prototype or a proxy.
    const describe = () => ({ identity: this.#native.identity(), source: this.getManagedIdentitySource() });
    return inspectApplication(this, describe, depth, options, inspect);
  }

  getManagedIdentitySource(): contract.ManagedIdentitySourceNames {
    return this.#native.sourceName(snapshotEnvironment().native) as contract.ManagedIdentitySourceNames;
  }

  async getManagedIdentitySourceAsync(
    options?: contract.AvailabilityOptions | null,
  ): Promise<contract.ManagedIdentitySourceNames | null> {
    const source = this.getManagedIdentitySource();
    if (source !== ManagedIdentitySourceNames.DEFAULT_TO_IMDS) {
      return this.#native.hasSource(snapshotEnvironment().native) ? source : null;
    }
    const { available } = await this.isAvailable(options);
    return available ? ManagedIdentitySourceNames.IMDS : null;
  }

  static fromEnvironment(
    env?: { [name: string]: string | undefined } | null,
    configuration?: contract.ManagedIdentityConfiguration | null,
  ): ManagedIdentityApplication {
    return applicationFromEnvironment(env, configuration);
  }

  static async flush(options?: contract.FlushOptions | null): Promise<boolean> {
    if (typeof options !== "object" && options !== undefined) {
      throwError(
        "invalid_configuration",
        `The options of flush must be an object, but are a ${typeof options}.`,
      );
    }
    const flushed = getQueue().flush(nextCallNumber(), option(options, "timeout"));
    if (isFailure(flushed)) throw new ManagedIdentityError(flushed.errorCode, nextCorrelationId(), flushed);
    return flushed;
  }

  static clearCache(): void {
    binding.clearCache();
    forgetReplacedTokens(generation());
  }
}

/** Outside the class, because esbuild renames a class whose methods refer to it by its name. */
function applicationFromEnvironment(
  env: { [name: string]: string | undefined } | null | undefined,
  configuration: contract.ManagedIdentityConfiguration | null | undefined,
): ManagedIdentityApplication {
  const functions = { option, throwError, requireId };
  const managedIdentityIdParams = identityFromEnvironment(env ?? process.env, functions);
  return new ManagedIdentityApplication({ ...configuration, managedIdentityIdParams });
}
