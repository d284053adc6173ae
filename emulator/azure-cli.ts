// Tokens of the developer who is signed in to the Azure CLI, from `az account get-access-token`. At most one az runs
// per resource, and its token is cached until shortly before it expires.
// https://learn.microsoft.com/cli/azure/account#az-account-get-access-token

import { type ExecFileException, execFile } from "node:child_process";
import type { AzureCliOptions, TokenFunction } from "managed-identity-native/emulator";
import { endProgram } from "./end-program.js";
import { spawnArguments } from "./spawn-arguments.js";

const DEFAULT_TIMEOUT_MS = 60_000;
/** Clients refresh a token this long before it expires, so a cached token that is closer to its end is of no use. */
const REFRESH_BEFORE_MS = 300_000;
const MAX_OUTPUT_BYTES = 1_048_576;
const MAX_QUOTED_CHARS = 500;
/** The status that clients receive when az fails. Clients do not retry it. */
const BAD_REQUEST = 400;

// The arguments of az, which is a script on Windows, are limited to the characters of URIs, GUIDs and domain names.
const RESOURCE = /^[A-Za-z0-9][A-Za-z0-9:/._~@+=?-]{0,2047}$/;
const TENANT = /^[A-Za-z0-9][A-Za-z0-9.-]{0,254}$/;
const TOKEN = /eyJ[\w-]+\.[\w-]+(\.[\w-]*)*/g;
const CONTROLS_AND_SPACE = /[\p{Cc}\s]+/gu;

/** A token with its expiry. */
interface CliToken {
  readonly accessToken: string;
  readonly expiresOn: Date;
}

/** The functions that `azureCliTokens` has returned. */
const azureCliFunctions = new WeakSet<object>();

/** Returns a function for the option `tokens`; index.d.ts documents it. */
export function azureCliTokens({
  tenantId,
  timeout = DEFAULT_TIMEOUT_MS,
}: AzureCliOptions = {}): TokenFunction {
  if (tenantId !== undefined && !(typeof tenantId === "string" && TENANT.test(tenantId))) {
    throw new TypeError('azureCliTokens: "tenantId" must be a GUID or a domain name.');
  }
  if (!Number.isInteger(timeout) || timeout < 1) {
    throw new TypeError('azureCliTokens: "timeout" must be an integer from 1.');
  }
  const tokens = new Map<string, CliToken>();
  const pending = new Map<string, SharedTokenRequest>();
  const provide: TokenFunction = async ({ resource, signal }) => {
    if (!RESOURCE.test(resource)) {
      throw requestError("az was not run: the resource contains characters that no resource has.");
    }
    const token = tokens.get(resource);
    if (token && token.expiresOn.getTime() - REFRESH_BEFORE_MS > Date.now()) return token;
    let pendingRequest = pending.get(resource);
    if (pendingRequest === undefined || pendingRequest.isCancelled) {
      pendingRequest = new SharedTokenRequest(argumentsFor(resource, tenantId), timeout);
      pending.set(resource, pendingRequest);
    }
    try {
      const fetched = await pendingRequest.wait(signal);
      tokens.set(resource, fetched);
      return fetched;
    } finally {
      if (pending.get(resource) === pendingRequest) pending.delete(resource);
    }
  };
  azureCliFunctions.add(provide);
  return provide;
}

/** Whether a `tokens` function returns real tokens of the Azure CLI. */
export function isAzureCliTokens(tokens: unknown): boolean {
  return typeof tokens === "function" && azureCliFunctions.has(tokens);
}

function argumentsFor(resource: string, tenantId: string | undefined): readonly string[] {
  const tenant = tenantId === undefined ? [] : ["--tenant", tenantId];
  return ["account", "get-access-token", "--resource", resource, ...tenant, "--output", "json"];
}

/** One run of az, shared by all callers that want the same token. It is killed when the last of them leaves. */
class SharedTokenRequest {
  readonly #token: Promise<CliToken>;
  #waiting = 0;
  readonly #cancelled = new AbortController();

  constructor(args: readonly string[], timeout: number) {
    this.#token = runAzureCli(args, timeout, this.#cancelled.signal);
  }

  get isCancelled(): boolean {
    return this.#cancelled.signal.aborted;
  }

  /** Resolves with the token. `signal`, if given, is aborted when the caller stops waiting. */
  async wait(signal: AbortSignal | undefined): Promise<CliToken> {
    const leave = () => {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#cancelled.abort();
    };
    this.#waiting += 1;
    signal?.addEventListener("abort", leave);
    try {
      return await this.#token;
    } finally {
      signal?.removeEventListener("abort", leave);
    }
  }
}

/** How az ended; `ended` says why it was ended before it had printed a token. */
interface AzureCliExit {
  readonly error: ExecFileException | null;
  readonly ended: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

async function runAzureCli(args: readonly string[], timeout: number, signal: AbortSignal): Promise<CliToken> {
  const { error, ended, stdout, stderr } = await execute(args, timeout, signal);
  if (ended !== undefined) throw requestError(ended);
  if (error) throw requestError(describeFailure(error, stderr));
  return parseToken(stdout);
}

function execute(args: readonly string[], timeout: number, signal: AbortSignal): Promise<AzureCliExit> {
  return new Promise((resolve) => {
    let ended: string | undefined;
    // Without this variable an az in the current directory is preferred on Windows.
    const env = { ...process.env, NoDefaultCurrentDirectoryInExePath: "1" };
    const { file, args: all, options } = spawnArguments("az", args, process.platform, env);
    const limits = { maxBuffer: MAX_OUTPUT_BYTES, windowsHide: true };
    const child = execFile(file, all, { ...options, ...limits, env, encoding: "utf8" }, (error, out, err) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      resolve({ error, ended, stdout: out, stderr: err });
    });
    const end = (reason: string) => {
      ended ??= reason;
      endProgram(child);
    };
    const abort = () => end("az was ended, since no caller waits for its token any more.");
    const timer = setTimeout(end, timeout, `az returned no token within ${timeout} ms.`);
    signal.addEventListener("abort", abort);
  });
}

function describeFailure(error: ExecFileException, stderr: string): string {
  if (error.code === "ENOENT") {
    return "az was not found: install the Azure CLI and sign in with `az login`.";
  }
  const message = stderr
    .replace(TOKEN, "<redacted>")
    .replace(CONTROLS_AND_SPACE, " ")
    .trim()
    .slice(0, MAX_QUOTED_CHARS);
  return `az failed${message === "" ? ` (${error.code})` : `: ${message}`}`;
}

/** Returns the token that az printed. An error never quotes the output, since it may contain the token. */
function parseToken(stdout: string): CliToken {
  const output = parseOutput(stdout);
  const { accessToken } = output;
  const expiresOn = parseExpiry(output);
  if (typeof accessToken !== "string" || accessToken === "" || Number.isNaN(expiresOn.getTime())) {
    throw requestError("az printed no token with an expiry.");
  }
  return { accessToken, expiresOn };
}

/** The fields of az's output that matter here, of which none is certain. */
interface AzureCliOutput {
  readonly accessToken?: unknown;
  readonly expires_on?: unknown;
  readonly expiresOn?: unknown;
}

/** Parses az's output; text that is not JSON gives an empty object. */
function parseOutput(text: string): AzureCliOutput {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** Reads `expires_on`, in seconds since 1970, which az prints since version 2.54. Older versions print local time only. */
function parseExpiry({ expires_on: seconds, expiresOn }: AzureCliOutput): Date {
  if (Number(seconds) > 0) return new Date(Number(seconds) * 1000);
  const [, day, time] = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)/.exec(String(expiresOn)) ?? [];
  return new Date(`${day}T${time}`);
}

function requestError(message: string): Error {
  return Object.assign(new Error(message), { status: BAD_REQUEST });
}
