// The interface between an endpoint and its source.

import type { OutgoingHttpHeaders } from "node:http";
import type {
  AssertionOverrides,
  EmulatorCertificate,
  RecordedRequest,
} from "managed-identity-native/emulator";
import type { IssuedToken, TokenClaims } from "../access-token.js";
import type { Identities } from "../identities.js";
import type { SigningKeys } from "../jwt.js";

/** A response before a fault changes it. An object is sent as JSON, a string or a Buffer unchanged. */
export interface SourceResponse {
  status: number;
  headers: OutgoingHttpHeaders;
  body: unknown;
}

/** Issues the token of a valid request. */
export type IssueToken = (claims: TokenClaims) => IssuedToken | Promise<IssuedToken>;

/** The properties of an endpoint that its source needs. */
export interface SourceContext {
  readonly origin: string;
  readonly certificate: EmulatorCertificate | undefined;
  readonly identities: Identities;
  /** The value of IDENTITY_HEADER or MSI_SECRET. */
  readonly secret: string;
  readonly tenantId: string;
  readonly tokensDirectory: string | undefined;
  readonly keys: SigningKeys;
  /** Returns the current time in milliseconds since 1970. */
  readonly clock: () => number;
  isKnownResource(resource: string): boolean;
  /** Whether the request has the endpoint's secret in this header. */
  hasSecret(request: RecordedRequest, header: string): boolean;
}

/** The source of one endpoint. */
export interface Source {
  /** The path of the token endpoint. */
  readonly path: string;
  /** The environment variables by which clients detect the source. */
  readonly env: Readonly<Record<string, string>>;
  respond(request: RecordedRequest, issueToken: IssueToken): SourceResponse | Promise<SourceResponse>;
  /** Returns a discovery document, or undefined for any other request. */
  discoveryDocument?(request: RecordedRequest): SourceResponse | undefined;
  readonly issueAssertion?: (overrides?: AssertionOverrides) => string;
  /** Removes the files of the source. */
  close?(): void;
}

/** A kind of source, of which each endpoint creates its own. */
export interface SourceDefinition {
  /** Whether the endpoint uses https by default. */
  readonly isSecure: boolean;
  /** Whether a request must have the endpoint's secret. */
  readonly requiresSecret: boolean;
  /** Returns an error in the source's own format; without a message it is the status's own text. */
  errorResponse(status: number, message?: string): SourceResponse;
  create(context: SourceContext): Source;
}
