"use strict";

// The doctor's report as text: a column of headings, a column of facts. It must not find anything out by itself.

const { EXIT } = require("./exit-codes.js");
const { painter, plain, widthOf, wrap } = require("./terminal.js");

const INDENT = 12;
const INSTANTS = ["exp", "iat", "nbf"];
const DAY_MINUTES = 1440;

/** The whole text for `stream`. */
function render(report, stream) {
  const paint = painter(stream);
  const width = widthOf(stream) - INDENT;
  const section = (heading, lines) =>
    lines
      .flatMap((line) => (typeof line === "string" ? wrap(plain(line), width) : [line.text]))
      .map(
        (line, index) => `${index === 0 ? paint("bold", heading.padEnd(INDENT)) : " ".repeat(INDENT)}${line}`,
      );
  const { version, node, platform } = report;
  const sections = [
    section("Package", [`managed-identity-native ${version} on Node.js ${node}, ${platform}`]),
    section("Source", [report.source, because(report)]),
    section("Variables", variableLines(report, paint)),
    section("Identity", [identityWords(report)]),
    section("Endpoint", endpointLines(report, paint)),
    section("Token", tokenLines(report, paint)),
    section("Claims", claimLines(report)),
    section("What to do", report.advice),
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
}

function because({ source, variables }) {
  const names = variables.filter(({ decides }) => decides).map(({ name }) => name);
  if (names.length > 0) return `because of ${names.join(", ")}`;
  if (source === "AzureArc") return "because Azure Arc's agent is installed on this machine";
  return "because nothing leads to another source";
}

function variableLines({ variables }, paint) {
  if (variables.length === 0) return ["none is set that means anything here"];
  const width = Math.max(...variables.map(({ name }) => name.length));
  return variables.map(({ name, value, decides }) => ({
    text: `${paint(decides ? "cyan" : "dim", name.padEnd(width))}  ${plain(value)}`,
  }));
}

function hasClientId(variables) {
  return variables.some(({ name }) => name === "AZURE_CLIENT_ID");
}

function identityWords({ identity: { kind, id }, source, variables }) {
  if (source === "WorkloadIdentity" && kind === "client-id" && id === null && !hasClientId(variables))
    return "the workload's, but no client id is given: neither by --client-id nor by AZURE_CLIENT_ID";
  if (source === "WorkloadIdentity" && kind === "client-id")
    return `the workload's, ${kind} ${id ?? "of AZURE_CLIENT_ID"}`;
  return id === null ? "the host's own, since no id was given" : `user-assigned, ${kind} ${id}`;
}

function endpointLines({ endpoint: { available, reason }, exitCode, token }, paint) {
  if (available) return [{ text: paint("green", "answers") }];
  const absent = paint("red", exitCode === EXIT.unavailable ? "is not there" : "could not be asked");
  const words = token === null ? absent : paint("yellow", "answers, but not at first");
  return [{ text: words }, ...(reason === null ? [] : [reason])];
}

function tokenLines({ endpoint, error, resource, token }, paint) {
  if (error !== null) {
    const none = { text: `${paint("red", "none")} for ${plain(resource)}` };
    // The reason stands above already.
    if (endpoint.reason !== null && endpoint.reason === error.errorMessage) return [none, error.errorCode];
    return [none, `${error.errorCode}: ${error.errorMessage}`, `correlation id ${error.correlationId}`];
  }
  return [
    { text: `${paint("green", "came")} for ${plain(resource)}` },
    `from ${token.tokenEndpoint}, after ${token.attempts === 1 ? "1 request" : `${token.attempts} requests`} in ${token.durationInMs} ms`,
    `${duration(token.secondsLeft)} left, until ${token.expiresOn}`,
    ...(token.refreshOn === null ? [] : [`renewed from ${token.refreshOn} on`]),
  ];
}

function claimLines({ token }) {
  if (token === null) return [];
  if (token.claims === null) return ["the token is no JWT, so it cannot be read here"];
  const entries = Object.entries(token.claims);
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, value]) => ({ text: `${name.padEnd(width)}  ${claimWords(name, value)}` }));
}

function claimWords(name, value) {
  if (Array.isArray(value)) return value.join(", ");
  if (!INSTANTS.includes(name) || !Number.isFinite(value)) return String(value);
  const instant = new Date(value * 1000);
  return Number.isNaN(instant.getTime()) ? String(value) : `${value} (${instant.toISOString()})`;
}

/** "23 h 59 min"; seconds below a minute. */
function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  const parts = [
    [Math.floor(minutes / DAY_MINUTES), "d"],
    [Math.floor(minutes / 60) % 24, "h"],
    [minutes % 60, "min"],
  ];
  return parts
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

module.exports = { render };
