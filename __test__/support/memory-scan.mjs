// Searches the memory of another process for secrets, as a reader of its core dump could. Linux only.

import { closeSync, openSync, readFileSync, readSync } from "node:fs";

const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+ *(.*)$/;
/** Mappings that the kernel adds to every process. */
const KERNEL_MAPPINGS = /^\[v/;
/**
 * The length of the parts that are searched for. The allocator overwrites the first bytes of freed memory, so a whole
 * secret would not be found.
 */
const PART_LENGTH = 12;

/** Returns a description of each place in the memory of the process `pid` that holds a part of `secrets`. */
export function findSecrets(pid, secrets) {
  const wanted = secrets.flatMap((secret) => split(secret));
  const memory = openSync(`/proc/${pid}/mem`, "r");
  const found = [];
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, "latin1").split("\n")) {
      const [, start, end, name] = MAPPING.exec(line) ?? [];
      if (start === undefined || KERNEL_MAPPINGS.test(name)) continue;
      const bytes = read(memory, Number.parseInt(start, 16), Number.parseInt(end, 16));
      for (const { part, index } of wanted) {
        for (let at = bytes.indexOf(part); at >= 0; at = bytes.indexOf(part, at + 1)) {
          found.push(`part ${index} in ${name || "memory without a name"}, ${start}+${at.toString(16)}`);
        }
      }
    }
  } finally {
    closeSync(memory);
  }
  return found;
}

/** Repeats the search until it finds nothing or has run `attempts` times; returns the last result. */
export function findRemainingSecrets(pid, secrets, attempts = 10) {
  const found = findSecrets(pid, secrets);
  return found.length === 0 || attempts === 1 ? found : findRemainingSecrets(pid, secrets, attempts - 1);
}

function split(secret) {
  const count = Math.floor(secret.length / PART_LENGTH);
  return Array.from({ length: count }, (_, index) => ({
    part: Buffer.from(secret.slice(index * PART_LENGTH, (index + 1) * PART_LENGTH)),
    index,
  }));
}

/** Reads a mapping as far as possible: the process is running and may have unmapped it. */
function read(memory, start, end) {
  const bytes = Buffer.allocUnsafe(end - start);
  let length = 0;
  try {
    let more = 1;
    while (more > 0 && start + length < end) {
      more = readSync(memory, bytes, length, end - start - length, start + length);
      length += more;
    }
  } catch (error) {
    if (error.code !== "EIO" && error.code !== "EFAULT") throw error;
  }
  return bytes.subarray(0, length);
}
