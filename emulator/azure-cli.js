"use strict";

// Tokens of the developer who is signed in to the Azure CLI, from `az account get-access-token`. At most one az runs
// per resource, and its token is cached until shortly before it expires.
// https://learn.microsoft.com/cli/azure/account#az-account-get-access-token

const { execFile } = require("node:child_process");
const { spawnArguments } = require("./spawn-arguments.js");

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

/** Returns a function for the option `tokens`; index.d.ts documents it. */
function azureCliTokens({ tenantId, timeout = DEFAULT_TIMEOUT_MS } = {}) {
  if (tenantId !== undefined && !(typeof tenantId === "string" && TENANT.test(tenantId))) {
    throw new TypeError('azureCliTokens: "tenantId" must be a GUID or a domain name.');
  }
  if (!Number.isInteger(timeout) || timeout < 1) {
    throw new TypeError('azureCliTokens: "timeout" must be an integer from 1.');
  }
  const tokens = new Map();
  const pending = new Map();
  return async ({ resource, signal }) => {
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
}

function argumentsFor(resource, tenantId) {
  const tenant = tenantId === undefined ? [] : ["--tenant", tenantId];
  return ["account", "get-access-token", "--resource", resource, ...tenant, "--output", "json"];
}

/** One run of az, shared by all callers that want the same token. It is killed when the last of them leaves. */
class SharedTokenRequest {
  #token;
  #waiting = 0;
  #cancelled = new AbortController();

  constructor(args, timeout) {
    this.#token = runAzureCli(args, timeout, this.#cancelled.signal);
  }

  get isCancelled() {
    return this.#cancelled.signal.aborted;
  }

  /** Resolves with the token. `signal`, if given, is aborted when the caller stops waiting. */
  async wait(signal) {
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

async function runAzureCli(args, timeout, signal) {
  const { error, stdout, stderr } = await new Promise((resolve) => {
    const { file, args: all, options } = spawnArguments("az", args);
    // Without this variable cmd.exe prefers an az in the current directory.
    const env = { ...process.env, NoDefaultCurrentDirectoryInExePath: "1" };
    const limits = { timeout, maxBuffer: MAX_OUTPUT_BYTES, signal, windowsHide: true };
    execFile(file, all, { ...options, ...limits, env, encoding: "utf8" }, (fault, out, err) => {
      resolve({ error: fault, stdout: out, stderr: err });
    });
  });
  if (error) throw requestError(describeFailure(error, stderr, timeout));
  return parseToken(stdout);
}

function describeFailure(error, stderr, timeout) {
  if (error.code === "ENOENT") {
    return "az was not found: install the Azure CLI and sign in with `az login`.";
  }
  if (error.killed) return `az returned no token within ${timeout} ms.`;
  const message = stderr
    .replace(TOKEN, "<redacted>")
    .replace(CONTROLS_AND_SPACE, " ")
    .trim()
    .slice(0, MAX_QUOTED_CHARS);
  return `az failed${message === "" ? ` (${error.code})` : `: ${message}`}`;
}

/** Returns the token that az printed. An error never quotes the output, since it may contain the token. */
function parseToken(stdout) {
  const { accessToken, ...expiry } = parseObject(stdout);
  const expiresOn = parseExpiry(expiry);
  if (typeof accessToken !== "string" || accessToken === "" || Number.isNaN(expiresOn.getTime())) {
    throw requestError("az printed no token with an expiry.");
  }
  return { accessToken, expiresOn };
}

/** Parses a JSON object; anything else gives an empty object. */
function parseObject(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** Reads `expires_on`, in seconds since 1970, which az prints since version 2.54. Older versions print local time only. */
function parseExpiry({ expires_on: seconds, expiresOn }) {
  if (Number(seconds) > 0) return new Date(Number(seconds) * 1000);
  const [, day, time] = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)/.exec(expiresOn) ?? [];
  return new Date(`${day}T${time}`);
}

function requestError(message) {
  return Object.assign(new Error(message), { status: BAD_REQUEST });
}

module.exports = { azureCliTokens };
