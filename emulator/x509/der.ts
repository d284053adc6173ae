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

function tagged(tag: number, ...contents: readonly Buffer[]): Buffer {
  const value = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag]), encodeLength(value), value]);
}

function encodeLength({ length }: Buffer): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes = unsigned(length);
  return Buffer.concat([Buffer.from([0x80 | bytes.length]), bytes]);
}

function unsigned(number: number): Buffer {
  const hex = number.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
}

export const sequence = (...items: readonly Buffer[]): Buffer => tagged(TAG.sequence, ...items);
export const set = (...items: readonly Buffer[]): Buffer => tagged(TAG.set, ...items);
export const octetString = (bytes: Buffer): Buffer => tagged(TAG.octetString, bytes);
export const utf8String = (text: string): Buffer => tagged(TAG.utf8String, Buffer.from(text, "utf8"));
export const boolean = (value: boolean): Buffer => tagged(TAG.boolean, Buffer.from([value ? 0xff : 0x00]));
export const nullValue = (): Buffer => tagged(TAG.null);

/** Encodes a positive integer, given as big-endian bytes or as a number. */
export function integer(value: Buffer | number): Buffer {
  const bytes = Buffer.isBuffer(value) ? value : unsigned(value);
  // If the first bit were set, the integer would be negative.
  const isNegative = ((bytes[0] ?? 0) & 0x80) !== 0;
  return tagged(TAG.integer, isNegative ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
}

/** Encodes a bit string. `unusedBits` is the number of bits at its end that are not part of the value. */
export function bitString(bytes: Buffer, unusedBits = 0): Buffer {
  return tagged(TAG.bitString, Buffer.from([unusedBits]), bytes);
}

/** Encodes an object identifier, such as "2.5.4.3". */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const arcs = [first * 40 + second, ...rest].flatMap((arc) => {
    const sevens = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) sevens.unshift((left & 0x7f) | 0x80);
    return sevens;
  });
  return tagged(TAG.objectIdentifier, Buffer.from(arcs));
}

export function time(date: Date): Buffer {
  const digits = date
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replace(/[-:T]/g, "");
  return date.getUTCFullYear() < FIRST_YEAR_OF_GENERALIZED_TIME
    ? tagged(TAG.utcTime, Buffer.from(digits.slice(2)))
    : tagged(TAG.generalizedTime, Buffer.from(digits));
}

/** Wraps encoded values in the explicit context tag `[number]`. */
export const explicit = (number: number, ...items: readonly Buffer[]): Buffer =>
  tagged(CONTEXT | CONSTRUCTED | number, ...items);
/** Encodes a primitive value with the implicit context tag `[number]`. */
export const implicit = (number: number, bytes: Buffer): Buffer => tagged(CONTEXT | number, bytes);
