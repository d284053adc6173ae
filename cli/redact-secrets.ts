// Removes secrets from output.

import { binding } from "../lib/native-binding.js";

/** The variables whose values are secrets. */
const SECRET_VARIABLES = ["IDENTITY_HEADER", "MSI_SECRET"];
const REDACTED = "<redacted>";

/**
 * Returns a copy of `value`, which is a string or plain data, in which every string is free of the secrets in the
 * environment, and of `others`, in any encoding.
 */
export function redactSecrets<Value>(value: Value, others: readonly string[] = []): Value {
  const secrets = [...SECRET_VARIABLES.map((name) => process.env[name] ?? ""), ...others];
  // The copy has the type of the original: only the contents of strings change.
  return redactPart(value, secrets) as Value;
}

function redactPart(part: unknown, secrets: string[]): unknown {
  if (typeof part === "string") return redactText(part, secrets);
  if (Array.isArray(part)) return part.map((item) => redactPart(item, secrets));
  if (part === null || typeof part !== "object") return part;
  return Object.fromEntries(Object.entries(part).map(([name, inner]) => [name, redactPart(inner, secrets)]));
}

/** Returns the text unchanged if nothing was redacted, because the native function also joins lines. */
function redactText(text: string, secrets: string[]): string {
  const redacted = binding.redact(text, secrets);
  return redacted.includes(REDACTED) ? redacted : text;
}
