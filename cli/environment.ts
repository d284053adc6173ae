// The environment variables that the package reads, in a form that may be shown to others. The native code lists the
// variables; this file decides how much of a value is shown.

import { isAbsolute } from "node:path";
import type { ManagedIdentityApplication } from "managed-identity-native";
import { binding } from "../lib/native-binding.js";
import { decisiveVariables } from "./explain-source.js";
import { stripControlCharacters } from "./terminal.js";

/** A variable that is set. */
export interface DisplayedVariable {
  readonly name: string;
  /** The value as far as it may be shown. */
  readonly value: string;
  /** Whether the source would be another without the variable. */
  readonly decides: boolean;
}

const URLS: readonly string[] = [
  "IDENTITY_ENDPOINT",
  "IMDS_ENDPOINT",
  "MSI_ENDPOINT",
  "AZURE_POD_IDENTITY_AUTHORITY_HOST",
  "AZURE_AUTHORITY_HOST",
  "AZURE_KUBERNETES_TOKEN_PROXY",
  "HTTPS_PROXY",
  "https_proxy",
];
const FILES: readonly string[] = [
  "AZURE_FEDERATED_TOKEN_FILE",
  "AZURE_KUBERNETES_CA_FILE",
  "NODE_EXTRA_CA_CERTS",
  "ProgramFiles",
  "ProgramData",
];
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const ID_PATTERNS: ReadonlyMap<string, RegExp> = new Map([
  ["AZURE_CLIENT_ID", GUID],
  ["AZURE_TENANT_ID", /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|([a-z0-9-]{1,63}\.)+[a-z]{2,63})$/i],
  ["DEFAULT_IDENTITY_CLIENT_ID", GUID],
  ["IDENTITY_SERVER_THUMBPRINT", /^([0-9a-f]{2}[: ]?){19}[0-9a-f]{2}$/i],
]);
/** Only fromEnvironment() reads this variable, so the native code does not list it. */
const MANAGED_IDENTITY = "MANAGED_IDENTITY";
const MAX_VALUE_CHARS = 200;

/** Windows sets these on every machine. Only Azure Arc uses them: its agent and its keys are in directories below. */
const WINDOWS_DIRECTORIES: readonly string[] = ["ProgramFiles", "ProgramData"];

/** Returns the variables that are set and that the package reads for the detected source. */
export function relevantVariables(application: ManagedIdentityApplication): readonly DisplayedVariable[] {
  const decisive = decisiveVariables(application);
  const source = application.getManagedIdentitySource();
  return [...binding.environmentVariables(), MANAGED_IDENTITY].flatMap((name) => {
    const value = process.env[name];
    if (value === undefined || !isUsedBy(source, name)) return [];
    return [{ name, value: displayValue(name, value), decides: decisive.includes(name) }];
  });
}

/** Returns whether a variable can matter to a source. */
export function isUsedBy(source: string, name: string): boolean {
  return source === "AzureArc" || !WINDOWS_DIRECTORIES.includes(name);
}

/** Returns the value itself if it has the format that its variable should have; otherwise only its length. */
function displayValue(name: string, value: string): string {
  const length = `set, ${value.length} character${value.length === 1 ? "" : "s"}`;
  if (name === MANAGED_IDENTITY) return `${length}; for fromEnvironment()`;
  if (value === "") return "set, but empty: counts as not set";
  if (value.length > MAX_VALUE_CHARS) return length;
  if (URLS.includes(name)) return displayUrl(value) ?? `${length}, not an http or https URL`;
  if (FILES.includes(name)) {
    return isAbsolute(value) ? stripControlCharacters(value) : `${length}, not an absolute path`;
  }
  const pattern = ID_PATTERNS.get(name);
  if (pattern === undefined) return length;
  return pattern.test(value) ? value : `${length}, not in the format of an id`;
}

/** Returns a URL without user info, query and fragment. */
function displayUrl(value: string): string | undefined {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) return undefined;
  const omitted = [
    url.username || url.password ? "user info" : "",
    url.search ? "query" : "",
    url.hash ? "fragment" : "",
  ].filter((part) => part !== "");
  const note = omitted.length > 0 ? ` (omitted: ${omitted.join(", ")})` : "";
  return `${url.origin}${url.pathname}${note}`;
}
