// Formats the doctor's report as text: a column of headings and a column of facts.

import type { ClaimValue } from "./claims.js";
import type { DoctorReport } from "./doctor-report.js";
import { EXIT } from "./exit-codes.js";
import {
  createStyler,
  type OutputStream,
  outputWidth,
  type Styler,
  stripControlCharacters,
  wrap,
} from "./terminal.js";

const INDENT = 12;
const TIME_CLAIMS = ["exp", "iat", "nbf"];
const DAY_MINUTES = 1440;

/** A line of the report: a string that may be wrapped, or text that is printed unchanged. */
type Line = string | { readonly text: string };

/** Returns the whole report, styled and wrapped for `stream`. */
export function formatReport(report: DoctorReport, stream: OutputStream): string {
  const style = createStyler(stream);
  const width = outputWidth(stream) - INDENT;
  const section = (heading: string, lines: readonly Line[]) =>
    lines
      .flatMap((line) => (typeof line === "string" ? wrap(stripControlCharacters(line), width) : [line.text]))
      .map(
        (line, index) => `${index === 0 ? style("bold", heading.padEnd(INDENT)) : " ".repeat(INDENT)}${line}`,
      );
  const { version, node, platform } = report;
  const sections = [
    section("Package", [`managed-identity-native ${version} on Node.js ${node}, ${platform}`]),
    section("Source", [report.source, sourceReason(report)]),
    section("Variables", variableLines(report, style)),
    section("Identity", [identityText(report)]),
    section("Endpoint", endpointLines(report, style)),
    section("Token", tokenLines(report, style)),
    section("Claims", claimLines(report)),
    section("Service", serviceLines(report, style)),
    section("What to do", report.advice),
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
}

/** Returns the result of a probe, in one line that is wrapped for a terminal. */
export function formatProbe(
  { endpoint: { available, reason }, source }: DoctorReport,
  stream: OutputStream,
): string {
  if (available) return `${source} responds\n`;
  const text = stripControlCharacters(`${source} does not respond${reason === null ? "" : `: ${reason}`}`);
  return `${wrap(text, outputWidth(stream)).join("\n")}\n`;
}

function sourceReason({ source, sourceOption, variables }: DoctorReport): string {
  if (sourceOption !== null) return `because of --source ${sourceOption.join(",")}`;
  const names = variables.filter(({ decides }) => decides).map(({ name }) => name);
  if (names.length > 0) return `because of ${names.join(", ")}`;
  if (source === "AzureArc") return "because Azure Arc's agent is installed on this machine";
  return "because nothing selects another source";
}

function variableLines({ variables }: DoctorReport, style: Styler): readonly Line[] {
  if (variables.length === 0) return ["no relevant variable is set"];
  const width = Math.max(...variables.map(({ name }) => name.length));
  return variables.map(({ name, value, decides }) => ({
    text: `${style(decides ? "cyan" : "dim", name.padEnd(width))}  ${stripControlCharacters(value)}`,
  }));
}

function identityText({ identity: { kind, id }, source, variables }: DoctorReport): string {
  if (source === "WorkloadIdentity" && kind === "client-id") {
    const hasClientId = variables.some(({ name }) => name === "AZURE_CLIENT_ID");
    if (id === null && !hasClientId) {
      return "the workload's, but neither --client-id nor AZURE_CLIENT_ID gives its client id";
    }
    return `the workload's, ${kind} ${id ?? "of AZURE_CLIENT_ID"}`;
  }
  return id === null ? "system-assigned, since no id was given" : `user-assigned, ${kind} ${id}`;
}

function endpointLines(
  { endpoint: { available, reason }, exitCode, token }: DoctorReport,
  style: Styler,
): readonly Line[] {
  if (available) return [{ text: style("green", "responds") }];
  const failure = exitCode === EXIT.unavailable ? "does not respond" : "could not be contacted";
  const text =
    token === null ? style("red", failure) : style("yellow", "responds, but did not respond to the probe");
  return [{ text }, ...(reason === null ? [] : [reason])];
}

function tokenLines({ endpoint, error, resource, token }: DoctorReport, style: Styler): readonly Line[] {
  const target = `for ${stripControlCharacters(resource)}`;
  if (error !== null) {
    const none = { text: `${style("red", "none")} ${target}` };
    // The section "Endpoint" contains the message already.
    if (endpoint.reason !== null && endpoint.reason === error.errorMessage) return [none, error.errorCode];
    return [none, `${error.errorCode}: ${error.errorMessage}`, `correlation id ${error.correlationId}`];
  }
  if (token === null) return [];
  const requests = token.attempts === 1 ? "1 request" : `${token.attempts} requests`;
  return [
    { text: `${style("green", "acquired")} ${target}` },
    `from ${token.tokenEndpoint}, with ${requests} in ${token.durationInMs} ms`,
    `${formatDuration(token.secondsLeft)} left, until ${token.expiresOn}`,
    ...(token.refreshOn === null ? [] : [`refreshed from ${token.refreshOn} on`]),
  ];
}

function claimLines({ token }: DoctorReport): readonly Line[] {
  if (token === null) return [];
  if (token.claims === null) return ["the token is not a JWT, so its claims cannot be shown"];
  const entries = Object.entries(token.claims);
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, value]) => ({ text: `${name.padEnd(width)}  ${claimText(name, value)}` }));
}

function serviceLines({ service }: DoctorReport, style: Styler): readonly Line[] {
  if (service === null) return [];
  const { accepted, challenge, errorCode, errorMessage, fault, name, status, url } = service;
  const target = `${name === null ? "" : `${name}, `}${stripControlCharacters(url)}`;
  if (status === null) {
    return fault === null
      ? [target, "was not asked"]
      : [target, { text: style("red", `did not respond: ${stripControlCharacters(fault)}`) }];
  }
  const verdicts = {
    true: style("green", "accepts the token"),
    false: style("red", "does not accept the token"),
  };
  const verdict = accepted === null ? style("yellow", "does not tell") : verdicts[`${accepted}`];
  const error = [errorCode, errorMessage].filter((part) => part !== null).join(": ");
  const { claims, errorDescription, error: challengeError } = challenge ?? {};
  const challengeText = [challengeError, errorDescription].filter((part) => part).join(": ");
  return [
    target,
    { text: `${verdict}, with status ${status}` },
    ...(error === "" ? [] : [error]),
    ...(challengeText === "" ? [] : [`challenge: ${challengeText}`]),
    ...(claims ? [`claims that it demands: ${claims}`] : []),
  ];
}

function claimText(name: string, value: ClaimValue): string {
  if (typeof value === "object") return value.join(", ");
  if (typeof value === "string" || !TIME_CLAIMS.includes(name)) return String(value);
  const date = new Date(value * 1000);
  return Number.isNaN(date.getTime()) ? String(value) : `${value} (${date.toISOString()})`;
}

/** Returns a duration such as "23 h 59 min"; below a minute in seconds. */
function formatDuration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  const parts: readonly (readonly [count: number, unit: string])[] = [
    [Math.floor(minutes / DAY_MINUTES), "d"],
    [Math.floor(minutes / 60) % 24, "h"],
    [minutes % 60, "min"],
  ];
  return parts
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}
