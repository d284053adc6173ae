// The names under which clients may contact an endpoint. A web page can send requests to any address of this machine:
// directly, or under a name of its own that it lets point here (DNS rebinding). Such requests have an `Origin`, or the
// page's name as `Host`, so both are checked. https://datatracker.ietf.org/doc/html/rfc6454#section-7

import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";

const LOOPBACK = "127.0.0.1";
const LOOPBACK_NAMES = [LOOPBACK, "localhost", "[::1]"];
/** Addresses that stand for every interface, with the address by which clients on this machine connect. */
const WILDCARDS: ReadonlyMap<string, string> = new Map([
  ["0.0.0.0", LOOPBACK],
  ["[::]", "[::1]"],
]);
const HOST_HEADER = /^(?<name>\[[\da-f:.]+\]|[^:]+)(?::(?<port>\d{1,5}))?$/i;
/** A host name, which may have underscores as the services of a compose file, or an address. */
const ALLOWED_HOST = /^(?:\[[\da-f:.]+\]|[\w-]+(?:\.[\w-]+)*)(?::\d{1,5})?$/i;

export const DEFAULT_HOST = LOOPBACK;

/** Whether `host` can be listened on: an IP address without a zone, or localhost. */
export function isListenable(host: string): boolean {
  return host === "localhost" || (isIP(host) !== 0 && !host.includes("%"));
}

/** Whether only programs on this machine can connect to the address `host`. */
export function isLoopback(host: string): boolean {
  const name = urlHost(host);
  return LOOPBACK_NAMES.includes(name) || (isIP(name) === 4 && name.startsWith("127."));
}

/** Whether `text` is a host name or an address, with or without a port. */
export function isAllowableHost(text: string): boolean {
  return ALLOWED_HOST.test(text);
}

/** Returns the host of the URLs by which clients on this machine contact a server that listens on `host`. */
export function clientHost(host: string): string {
  const name = urlHost(host);
  return WILDCARDS.get(name) ?? name;
}

/** Returns the names and IPv4 addresses that the certificate of an endpoint is for. */
export function certificateNames(host: string, allowedHosts: readonly string[]): readonly string[] {
  const names = ["localhost", LOOPBACK, clientHost(host), ...allowedHosts.map(withoutPort)];
  return [...new Set(names.filter((name) => !name.startsWith("[")))];
}

/** The longest name that DNS allows has 253 characters. */
const MAX_QUOTED_CHARS = 253;

/** Quotes a name without control characters, which could be commands for a terminal. */
function quote(name: string): string {
  return JSON.stringify(name.slice(0, MAX_QUOTED_CHARS).replace(/\p{Cc}/gu, "\ufffd"));
}

export interface RequestGuardOptions {
  /** Scheme, address and port of the endpoint. */
  readonly origin: string;
  /** The address that it listens on. */
  readonly host: string;
  /** Further names, each for one port or for all. */
  readonly allowedHosts: readonly string[];
}

/** Recognizes the requests of web pages. */
export class RequestGuard {
  readonly #port: string;
  /** Names with a port, and names that are valid with every port. */
  readonly #hosts: ReadonlySet<string>;

  constructor({ origin, host, allowedHosts }: RequestGuardOptions) {
    const { port, protocol } = new URL(origin);
    this.#port = port === "" ? defaultPort(protocol) : port;
    const own = [...LOOPBACK_NAMES, clientHost(host)].map((name) => `${name}:${this.#port}`);
    this.#hosts = new Set([...own, ...allowedHosts.map((name) => name.toLowerCase())]);
  }

  /** Returns why a request is refused, or undefined if it is accepted. */
  refusal({ host, origin }: IncomingHttpHeaders): string | undefined {
    if (origin !== undefined)
      return "The emulator refuses requests with an Origin header: web pages get no tokens.";
    if (this.#isAllowed(host ?? "")) return undefined;
    return (
      `The emulator refuses requests for the host ${quote(host ?? "")}, which may be a web page's. ` +
      "Allow the name with the option allowedHosts, or with --allowed-host on the command line."
    );
  }

  #isAllowed(header: string): boolean {
    const { name, port } = HOST_HEADER.exec(header.toLowerCase())?.groups ?? {};
    if (name === undefined) return false;
    // A client omits the scheme's own port.
    return this.#hosts.has(name) || this.#hosts.has(`${name}:${port ?? this.#port}`);
  }
}

function defaultPort(protocol: string): string {
  return protocol === "https:" ? "443" : "80";
}

/** Returns an address as a URL has it: in lower case, and an IPv6 address in its shortest form in brackets. */
function urlHost(host: string): string {
  return isIP(host) === 6 ? new URL(`http://[${host}]`).hostname : host.toLowerCase();
}

function withoutPort(host: string): string {
  return host.replace(/:\d{1,5}$/, "");
}
