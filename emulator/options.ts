// Parses the options of `startEmulator`: fills in every default, or throws an error that names the wrong option.

import { randomBytes } from "node:crypto";
import type { SecureContextOptions } from "node:tls";
import type {
  CertificateOptions,
  EmulatorIdentity,
  EmulatorOptions,
  EmulatorSource,
} from "managed-identity-native/emulator";
import { isAzureCliTokens } from "./azure-cli.js";
import { DEFAULT_HOST, isAllowableHost, isListenable, isLoopback } from "./host-names.js";
import {
  Identities,
  type IdKind,
  otherUserAssignedIdentity,
  systemAssignedIdentity,
  tenantId,
  userAssignedIdentity,
} from "./identities.js";
import { sourceDefinitions, sourceNames } from "./sources/index.js";
import type { SourceDefinition } from "./sources/source.js";
import type { IssuerOptions } from "./token-issuer.js";

/** The options of an endpoint with their defaults. */
export interface Settings extends IssuerOptions {
  readonly source: EmulatorSource;
  readonly definition: SourceDefinition;
  /** The address to listen on. */
  readonly host: string;
  readonly port: number;
  /** Further names of the endpoint in lower case, each for one port or for all. */
  readonly allowedHosts: readonly string[];
  readonly secret: string;
  readonly identities: Identities;
  /** undefined: every resource exists. */
  readonly resources: readonly string[] | undefined;
  readonly clock: () => number;
  readonly onRefusal: ((reason: string) => void) | undefined;
  readonly tokensDirectory: string | undefined;
  readonly secure: boolean;
  readonly certificate: CertificateOptions | undefined;
  readonly tls: Omit<SecureContextOptions, "cert" | "key"> | undefined;
}

// The lifetime of IMDS's tokens: 24 hours.
const DEFAULT_LIFETIME_SECONDS = 86_400;
const MAX_PORT = 65_535;
/** As many as the random half of a GUID in hexadecimal digits: 64 bits. */
const MIN_SECRET_CHARS = 16;
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const DOMAIN = /^([a-z0-9-]{1,63}\.)+[a-z]{2,63}$/i;
/** The name with which getManagedIdentitySource() reports IMDS when no variable is set, without case and dashes. */
const DEFAULT_TO_IMDS = "defaulttoimds";
const ID_KINDS: readonly IdKind[] = ["clientId", "objectId", "resourceId"];

export function parseOptions(options: EmulatorOptions): Settings {
  if (options === undefined || options === null || typeof options !== "object") {
    throw new TypeError('startEmulator: pass an object with a "source".');
  }
  const source = readSource(options);
  const definition = sourceDefinitions[source];
  return {
    definition,
    source,
    host: readHost(options, source),
    allowedHosts: readAllowedHosts(options),
    port: readInteger(options, "port", 0, MAX_PORT) ?? 0,
    secret: readString(options, "secret") ?? randomBytes(16).toString("hex").toUpperCase(),
    tenantId: readTenant(options) ?? tenantId,
    identities: readIdentities(options),
    resources: readStrings(options, "resources"),
    lifetimeSeconds:
      readInteger(options, "lifetimeSeconds", 1, Number.MAX_SAFE_INTEGER) ?? DEFAULT_LIFETIME_SECONDS,
    clock: readFunction(options, "clock") ?? Date.now,
    onRefusal: readFunction(options, "onRefusal"),
    tokens: readFunction(options, "tokens"),
    tokensDirectory: readString(options, "tokensDirectory"),
    secure: options.secure ?? definition.isSecure,
    certificate: options.certificate,
    tls: options.tls,
  };
}

/** Returns the source's own name. The option may be in any case, with or without dashes. */
function readSource({ source }: { readonly source?: unknown }): EmulatorSource {
  const normalized = typeof source === "string" ? normalize(source) : undefined;
  const wanted = normalized === DEFAULT_TO_IMDS ? "imds" : normalized;
  const found = sourceNames.find((name) => normalize(name) === wanted);
  if (found === undefined) {
    throw new TypeError(`startEmulator: "source" must be one of ${sourceNames.join(", ")}.`);
  }
  return found;
}

function normalize(source: string): string {
  return source.toLowerCase().replaceAll("-", "");
}

/**
 * The developer's own tokens leave the machine only to clients that prove that they have been given a secret. Emulated
 * tokens are worthless.
 */
function readHost(options: EmulatorOptions, source: EmulatorSource): string {
  const host = readString(options, "host") ?? DEFAULT_HOST;
  if (!isListenable(host)) {
    throw new TypeError('startEmulator: "host" must be an IP address, such as 127.0.0.1 or 0.0.0.0.');
  }
  if (isLoopback(host) || !isAzureCliTokens(options.tokens)) return host;
  const withSecret = sourceNames.filter((name) => sourceDefinitions[name].requiresSecret);
  if (!withSecret.includes(source)) {
    const names = withSecret.join(", ");
    throw new TypeError(
      'startEmulator: "host" must be a loopback address, because tokens of the Azure CLI are real, and this source ' +
        `requires no secret. Sources that do: ${names}.`,
    );
  }
  if ((options.secret ?? "").length < MIN_SECRET_CHARS) {
    throw new TypeError(
      `startEmulator: "secret" must be set, with at least ${MIN_SECRET_CHARS} characters, because tokens of the Azure ` +
        "CLI are real, and other machines can reach this address.",
    );
  }
  return host;
}

function readAllowedHosts(options: EmulatorOptions): readonly string[] {
  const hosts = readStrings(options, "allowedHosts") ?? [];
  if (hosts.every(isAllowableHost)) return hosts.map((host) => host.toLowerCase());
  throw new TypeError(
    'startEmulator: "allowedHosts" must contain host names with or without a port, such as emulator:8080.',
  );
}

/** A token that the emulator signs needs the tenant's GUID. A `tokens` function may also take the tenant's domain name. */
function readTenant(options: EmulatorOptions): string | undefined {
  const tenant = readString(options, "tenantId");
  if (tenant === undefined || GUID.test(tenant)) return tenant;
  if (options.tokens !== undefined && DOMAIN.test(tenant)) return tenant;
  const orDomain = options.tokens === undefined ? "" : " or a domain name";
  throw new TypeError(`startEmulator: "tenantId" must be a GUID${orDomain}.`);
}

function readIdentities(options: EmulatorOptions): Identities {
  const { systemAssigned, identities = [userAssignedIdentity, otherUserAssignedIdentity] } = options;
  if (!Array.isArray(identities)) throw new TypeError('startEmulator: "identities" must be an array.');
  for (const identity of identities) validateIdentity(identity);
  const system = systemAssigned === false ? undefined : { ...systemAssignedIdentity, ...systemAssigned };
  return new Identities(system, identities, {
    acceptAny: readBoolean(options, "anyIdentity") ?? false,
    onUnknown: readFunction(options, "onUnknownIdentity"),
  });
}

function validateIdentity(identity: Partial<EmulatorIdentity> | undefined): void {
  for (const kind of ID_KINDS) {
    const id: unknown = identity?.[kind];
    if (typeof id !== "string" || id === "") {
      throw new TypeError(`startEmulator: each of "identities" needs a "${kind}".`);
    }
  }
}

function readFunction<Name extends "clock" | "onRefusal" | "onUnknownIdentity" | "tokens">(
  options: EmulatorOptions,
  name: Name,
): EmulatorOptions[Name] {
  const value = options[name];
  if (value !== undefined && typeof value !== "function") {
    throw new TypeError(`startEmulator: "${name}" must be a function.`);
  }
  return value;
}

function readBoolean(options: EmulatorOptions, name: keyof EmulatorOptions): boolean | undefined {
  const value: unknown = options[name];
  if (value === undefined || typeof value === "boolean") return value;
  throw new TypeError(`startEmulator: "${name}" must be true or false.`);
}

function readInteger(
  options: EmulatorOptions,
  name: keyof EmulatorOptions,
  least: number,
  most: number,
): number | undefined {
  const value: unknown = options[name];
  if (value === undefined) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new TypeError(`startEmulator: "${name}" must be an integer from ${least} to ${most}.`);
}

function readString(options: EmulatorOptions, name: keyof EmulatorOptions): string | undefined {
  const value: unknown = options[name];
  if (value === undefined) return undefined;
  if (typeof value === "string" && value !== "") return value;
  throw new TypeError(`startEmulator: "${name}" must be a non-empty string.`);
}

function readStrings(options: EmulatorOptions, name: keyof EmulatorOptions): readonly string[] | undefined {
  const value: unknown = options[name];
  if (value === undefined) return undefined;
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw new TypeError(`startEmulator: "${name}" must be an array of strings.`);
}
