// Encodes a secret in many ways, and detects a secret in a text: the text is decoded repeatedly, without knowledge of
// how it was encoded.

const code = (character) => character.codePointAt(0);
const hex = (character, digits = 2) => code(character).toString(16).padStart(digits, "0");
const NAMES = { "+": "&plus;", "/": "&sol;", "=": "&equals;", ".": "&period;", _: "&lowbar;" };

/** Encoders of a single character. */
const CHARACTER_ENCODERS = {
  "%2B": (c) => `%${hex(c).toUpperCase()}`,
  "%2b": (c) => `%${hex(c)}`,
  "%252B": (c) => `%25${hex(c).toUpperCase()}`,
  "%u002b": (c) => `%u${hex(c, 4)}`,
  "&#43;": (c) => `&#${code(c)};`,
  "&#0043": (c) => `&#00${code(c)}`,
  "&#x2B;": (c) => `&#x${hex(c).toUpperCase()};`,
  "&#X002b;": (c) => `&#X00${hex(c)};`,
  "&amp;#43;": (c) => `&amp;#${code(c)};`,
  "&plus;": (c) => NAMES[c] ?? `&#${code(c)};`,
  "\\u002B": (c) => `\\u${hex(c, 4).toUpperCase()}`,
  "\\\\u002b": (c) => `\\\\u${hex(c, 4)}`,
  "\\x2b": (c) => `\\x${hex(c)}`,
  "\\+": (c) => (/\w/.test(c) ? c : `\\${c}`),
};

/** Which characters are encoded. */
const CHOICES = {
  "every character": () => true,
  "all but letters and digits": (c) => /\W/.test(c),
  "plus signs and full stops": (c) => "+.".includes(c),
  "slashes and underscores": (c) => "/_".includes(c),
  "equals signs": (c) => c === "=",
  "every third character": (_, index) => index % 3 === 0,
};

/** Encodings of the whole text, applied last. */
const TEXT_ENCODERS = {
  "no further encoding": (text) => text,
  "percent encoding": (text) => encodeURIComponent(text),
  JSON: (text) => JSON.stringify(text).slice(1, -1),
  HTML: (text) => text.replaceAll("&", "&amp;").replaceAll("=", "&#61;"),
  base64: (text) => Buffer.from(text).toString("base64"),
  "base64url with a prefix": (text) => Buffer.from(`user:${text}`).toString("base64url"),
  spaces: (text) => [...text].join(" "),
};

/** Every combination of encoders and characters, as `[name, encoded][]`. */
export function encodings(secret) {
  return Object.entries(CHARACTER_ENCODERS).flatMap(([encoder, encode]) =>
    Object.entries(CHOICES).flatMap(([choice, chosen]) => {
      const encoded = [...secret].map((c, index) => (chosen(c, index) ? encode(c) : c)).join("");
      return Object.entries(TEXT_ENCODERS).map(([around, all]) => [
        `${choice} as ${encoder}, then ${around}`,
        all(encoded),
      ]);
    }),
  );
}

const character = (number) => (number <= 0x10ffff ? String.fromCodePoint(number) : "");
const DECODERS = [
  (text) => text.replace(/%([0-9a-f]{2})/gi, (_, digits) => character(Number.parseInt(digits, 16))),
  (text) => text.replace(/%u([0-9a-f]{4})/gi, (_, digits) => character(Number.parseInt(digits, 16))),
  (text) => text.replace(/&#(\d{1,9});?/g, (_, digits) => character(Number(digits))),
  (text) => text.replace(/&#x([0-9a-f]{1,9});?/gi, (_, digits) => character(Number.parseInt(digits, 16))),
  (text) => Object.entries(NAMES).reduce((all, [c, name]) => all.replaceAll(name, c), text),
  (text) => text.replaceAll("&amp;", "&"),
  (text) => text.replace(/\\u([0-9a-f]{4})/gi, (_, digits) => character(Number.parseInt(digits, 16))),
  (text) => text.replace(/\\x([0-9a-f]{2})/gi, (_, digits) => character(Number.parseInt(digits, 16))),
  (text) => text.replace(/\\([^\w\s])/g, "$1"),
  (text) => text.replace(/[\s\p{Cc}]+/gu, ""),
];

/** The possible base64 decodings of each run of base64 characters, at every offset. */
function base64Texts(text) {
  const runs = text.match(/[\w+/-]{10,}/g) ?? [];
  const texts = runs.flatMap((run) =>
    [0, 1, 2, 3].map((skipped) => Buffer.from(run.slice(skipped), "base64").toString("latin1")),
  );
  return texts.filter((decoded) => /[\t-~]{8}/.test(decoded));
}

/** Whether any decoding of `text` contains eight consecutive characters of `secret`. */
export function reveals(text, secret) {
  const windows = Array.from({ length: secret.length - 7 }, (_, at) =>
    secret.slice(at, at + 8).toLowerCase(),
  );
  const seen = new Set();
  const pending = [text];
  while (pending.length > 0 && seen.size < 2_000) {
    const next = pending.pop();
    if (seen.has(next)) continue;
    seen.add(next);
    const lower = next.toLowerCase();
    if (windows.some((window) => lower.includes(window))) return true;
    pending.push(...DECODERS.map((decode) => decode(next)), ...base64Texts(next));
  }
  return false;
}
