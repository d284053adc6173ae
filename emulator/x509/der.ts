// The Distinguished Encoding Rules (ITU-T X.690), as far as certificates need them. Each function encodes one value.

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
};
const CONTEXT = 0x80;
const CONSTRUCTED = 0x20;
// UTCTime has two digits for the year, which stand for 1950 to 2049 (RFC 5280, section 4.1.2.5.1).
const FIRST_YEAR_OF_GENERALIZED_TIME = 2050;

function encodeTagged(tag: number, ...contents: readonly Buffer[]): Buffer {
  const value = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag]), encodeLength(value), value]);
}

function encodeLength({ length }: Buffer): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes = encodeUnsigned(length);
  return Buffer.concat([Buffer.from([0x80 | bytes.length]), bytes]);
}

function encodeUnsigned(number: number): Buffer {
  const hex = number.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
}

export const sequence = (...items: readonly Buffer[]): Buffer => encodeTagged(TAG.sequence, ...items);
export const set = (...items: readonly Buffer[]): Buffer => encodeTagged(TAG.set, ...items);
export const octetString = (bytes: Buffer): Buffer => encodeTagged(TAG.octetString, bytes);
export const utf8String = (text: string): Buffer => encodeTagged(TAG.utf8String, Buffer.from(text, "utf8"));
export const boolean = (value: boolean): Buffer =>
  encodeTagged(TAG.boolean, Buffer.from([value ? 0xff : 0x00]));
export const nullValue = (): Buffer => encodeTagged(TAG.null);

/** Encodes a positive integer, given as big-endian bytes or as a number. */
export function integer(value: Buffer | number): Buffer {
  const bytes = Buffer.isBuffer(value) ? value : encodeUnsigned(value);
  // The first bit is the sign, so a zero byte precedes a positive integer whose first bit is set.
  const hasSignBit = ((bytes[0] ?? 0) & 0x80) !== 0;
  return encodeTagged(TAG.integer, hasSignBit ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
}

/** Encodes a bit string. `unusedBits` is the number of bits at its end that are not part of the value. */
export function bitString(bytes: Buffer, unusedBits = 0): Buffer {
  return encodeTagged(TAG.bitString, Buffer.from([unusedBits]), bytes);
}

/** Encodes an object identifier, such as "2.5.4.3". */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const arcs = [first * 40 + second, ...rest].flatMap((arc) => {
    const septets = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) septets.unshift((left & 0x7f) | 0x80);
    return septets;
  });
  return encodeTagged(TAG.objectIdentifier, Buffer.from(arcs));
}

export function time(date: Date): Buffer {
  const digits = date
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replace(/[-:T]/g, "");
  return date.getUTCFullYear() < FIRST_YEAR_OF_GENERALIZED_TIME
    ? encodeTagged(TAG.utcTime, Buffer.from(digits.slice(2)))
    : encodeTagged(TAG.generalizedTime, Buffer.from(digits));
}

/** Wraps encoded values in the explicit context tag `[number]`. */
export const explicit = (number: number, ...items: readonly Buffer[]): Buffer =>
  encodeTagged(CONTEXT | CONSTRUCTED | number, ...items);
/** Encodes a primitive value with the implicit context tag `[number]`. */
export const implicit = (number: number, bytes: Buffer): Buffer => encodeTagged(CONTEXT | number, bytes);
