"use strict";

// Real tokens for an emulator to hand out: the developer's own, from `az account get-access-token`. One az runs
// per resource, and its token is kept until shortly before it expires. It must not know a host.
// https://learn.microsoft.com/cli/azure/account#az-account-get-access-token

const { execFile } = require("node:child_process");
const { commandOf } = require("./spawn-arguments.js");

const DEFAULT_TIMEOUT_MS = 60_000;
/** A client asks for another token this long before the end; the one at hand would not do. */
const REFRESH_BEFORE_MS = 300_000;
const OUTPUT_LIMIT = 1_048_576;
const SHOWN_WORDS = 500;
/** The client made a request that az will not fulfil, now or in a second: a status that nobody retries. */
const REFUSED = 400;

// What is given to az, which is a script on Windows: nothing else than what a URI, a GUID or a domain needs.
const RESOURCE = /^[A-Za-z0-9][A-Za-z0-9:/._~@+=?-]{0,2047}$/;
const TENANT = /^[A-Za-z0-9][A-Za-z0-9.-]{0,254}$/;
const TOKEN = /eyJ[\w-]+\.[\w-]+(\.[\w-]*)*/g;
const CONTROLS = /[\p{Cc}\s]+/gu;

/** A function for the emulator's `tokens`; see index.d.ts. */
function azureCliTokens({ tenantId, timeout = DEFAULT_TIMEOUT_MS } = {}) {
  if (tenantId !== undefined && !(typeof tenantId === "string" && TENANT.test(tenantId))) {
    throw new TypeError('azureCliTokens: "tenantId" must be a GUID or a domain name.');
  }
  if (!Number.isInteger(timeout) || timeout < 1) {
    throw new TypeError('azureCliTokens: "timeout" must be an integer from 1.');
  }
  const tokens = new Map();
  const flights = new Map();
  return async ({ resource, signal }) => {
    if (!RESOURCE.test(resource)) {
      throw refusal("az was not asked: the resource has characters that no resource needs.");
    }
    const token = tokens.get(resource);
    if (token && token.expiresOn.getTime() - REFRESH_BEFORE_MS > Date.now()) return token;
    let flight = flights.get(resource);
    if (flight === undefined || flight.isAbandoned) {
      flight = new Flight(argumentsFor(resource, tenantId), timeout);
      flights.set(resource, flight);
    }
    try {
      const fetched = await flight.wait(signal);
      tokens.set(resource, fetched);
      return fetched;
    } finally {
      if (flights.get(resource) === flight) flights.delete(resource);
    }
  };
}

function argumentsFor(resource, tenantId) {
  const tenant = tenantId === undefined ? [] : ["--tenant", tenantId];
  return ["account", "get-access-token", "--resource", resource, ...tenant, "--output", "json"];
}

/** One run of az, for everybody who wants the same; it is ended when all of them have gone. */
class Flight {
  #token;
  #waiting = 0;
  #abandoned = new AbortController();

  constructor(args, timeout) {
    this.#token = run(args, timeout, this.#abandoned.signal);
  }

  get isAbandoned() {
    return this.#abandoned.signal.aborted;
  }

  /** The token; `signal`, which may be missing, says when the caller has gone. */
  async wait(signal) {
    const leave = () => {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#abandoned.abort();
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

async function run(args, timeout, signal) {
  const { error, stdout, stderr } = await new Promise((resolve) => {
    const { file, args: all, options } = commandOf("az", args);
    // cmd.exe would otherwise take an az from the current directory first.
    const env = { ...process.env, NoDefaultCurrentDirectoryInExePath: "1" };
    const limits = { timeout, maxBuffer: OUTPUT_LIMIT, signal, windowsHide: true };
    execFile(file, all, { ...options, ...limits, env, encoding: "utf8" }, (fault, out, err) => {
      resolve({ error: fault, stdout: out, stderr: err });
    });
  });
  if (error) throw refusal(failureOf(error, stderr, timeout));
  return read(stdout);
}

function failureOf(error, stderr, timeout) {
  if (error.code === "ENOENT") {
    return "az was not found: install the Azure CLI and sign in with `az login`.";
  }
  if (error.killed) return `az gave no token within ${timeout} ms.`;
  const words = stderr.replace(TOKEN, "<redacted>").replace(CONTROLS, " ").trim().slice(0, SHOWN_WORDS);
  return `az failed${words === "" ? ` (${error.code})` : `: ${words}`}`;
}

/** The token that az printed. What it printed is never quoted: it may be the token. */
function read(stdout) {
  const { accessToken, ...instants } = parse(stdout);
  const expiresOn = expiryOf(instants);
  if (typeof accessToken !== "string" || accessToken === "" || Number.isNaN(expiresOn.getTime())) {
    throw refusal("az printed no token with an expiry.");
  }
  return { accessToken, expiresOn };
}

/** The object that a text holds, or an empty one. */
function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** Seconds since 1970, which az prints since 2.54; before that, the local time only. */
function expiryOf({ expires_on: seconds, expiresOn }) {
  if (Number(seconds) > 0) return new Date(Number(seconds) * 1000);
  const [, day, time] = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)/.exec(expiresOn) ?? [];
  return new Date(`${day}T${time}`);
}

function refusal(message) {
  return Object.assign(new Error(message), { status: REFUSED });
}

module.exports = { azureCliTokens };
