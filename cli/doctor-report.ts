// The doctor's report: the object that `--json` prints. docs/command-line.md documents it.

import type { Claims } from "./claims.js";
import type { DisplayedVariable } from "./environment.js";
import type { SelectedIdentity } from "./identity.js";
import type { SerializedError } from "./serialize-error.js";
import type { ServiceReport } from "./service-check.js";

export interface DoctorReport {
  /** The version of the format. */
  readonly format: number;
  /** The version of the package. */
  readonly version: string;
  /** The version of Node.js. */
  readonly node: string;
  readonly platform: string;
  readonly source: string;
  /** The value of `--source`; null without it. */
  readonly sourceOption: readonly string[] | null;
  readonly variables: readonly DisplayedVariable[];
  readonly identity: SelectedIdentity;
  readonly resource: string;
  /** The result of the probe. */
  readonly endpoint: { readonly available: boolean; readonly reason: string | null };
  readonly token: TokenFacts | null;
  readonly error: SerializedError | null;
  /** The response of the service of `--for`; null without it, and without a token. */
  readonly service: ServiceReport | null;
  readonly advice: readonly string[];
  readonly exitCode: number;
}

/** The facts about a token, without the token itself. */
export interface TokenFacts {
  readonly tokenEndpoint: string;
  readonly attempts: number;
  readonly durationInMs: number;
  /** ISO 8601. */
  readonly expiresOn: string;
  /** ISO 8601; null for a token that is not refreshed. */
  readonly refreshOn: string | null;
  readonly secondsLeft: number;
  /** null for an opaque token. */
  readonly claims: Claims | null;
}
