"use strict";

// The Distinguished Encoding Rules, as much of them as a certificate takes: each function makes one
// value's bytes. It must not know what a certificate is. ITU-T X.690.

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
// UTCTime has two digits for the year and means 1950 to 2049.
const FIRST_YEAR_OF_GENERALIZED_TIME = 2050;

function tagged(tag, ...contents) {
  const value = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag]), lengthOf(value), value]);
}

function lengthOf({ length }) {
  if (length < 0x80) return Buffer.from([length]);
  const bytes = unsigned(length);
  return Buffer.concat([Buffer.from([0x80 | bytes.length]), bytes]);
}

function unsigned(number) {
  const hex = number.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
}

const sequence = (...items) => tagged(TAG.sequence, ...items);
const set = (...items) => tagged(TAG.set, ...items);
const octetString = (bytes) => tagged(TAG.octetString, bytes);
const utf8String = (text) => tagged(TAG.utf8String, Buffer.from(text, "utf8"));
const boolean = (value) => tagged(TAG.boolean, Buffer.from([value ? 0xff : 0x00]));
const nothing = () => tagged(TAG.null);

/** A positive integer from its big-endian bytes or from a small number. */
function integer(value) {
  const bytes = Buffer.isBuffer(value) ? value : unsigned(value);
  // A leading bit would make it negative.
  return tagged(TAG.integer, bytes[0] & 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
}

/** `unusedBits` counts the bits at the end that do not belong to the value. */
function bitString(bytes, unusedBits = 0) {
  return tagged(TAG.bitString, Buffer.from([unusedBits]), bytes);
}

/** `dotted` such as "2.5.4.3". */
function objectIdentifier(dotted) {
  const [first, second, ...rest] = dotted.split(".").map(Number);
  const arcs = [first * 40 + second, ...rest].flatMap((arc) => {
    const sevens = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) sevens.unshift((left & 0x7f) | 0x80);
    return sevens;
  });
  return tagged(TAG.objectIdentifier, Buffer.from(arcs));
}

function time(date) {
  const digits = date
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replace(/[-:T]/g, "");
  return date.getUTCFullYear() < FIRST_YEAR_OF_GENERALIZED_TIME
    ? tagged(TAG.utcTime, Buffer.from(digits.slice(2)))
    : tagged(TAG.generalizedTime, Buffer.from(digits));
}

/** `[number]` around whole values. */
const explicit = (number, ...items) => tagged(CONTEXT | CONSTRUCTED | number, ...items);
/** `[number]` in place of a primitive value's own tag. */
const implicit = (number, bytes) => tagged(CONTEXT | number, bytes);

module.exports = {
  bitString,
  boolean,
  explicit,
  implicit,
  integer,
  nothing,
  objectIdentifier,
  octetString,
  sequence,
  set,
  time,
  utf8String,
};
