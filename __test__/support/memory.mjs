// Looks for words in the memory of another process, as whoever has its core dump would. Linux only.

import { closeSync, openSync, readFileSync, readSync } from "node:fs";

/** Why no memory can be searched here; undefined when it can. */
export const blind = reason();

function reason() {
  if (process.platform !== "linux") return "Linux only";
  // AddressSanitizer, as scripts/sanitize has it, maps more memory than there is.
  return process.env.LD_PRELOAD?.includes("asan") ? "not under AddressSanitizer" : undefined;
}

const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+ *(.*)$/;
/** What the kernel maps into every process. */
const KERNELS = /^\[v/;
/** A part of a secret that tells it from everything else. What is freed loses its first bytes to the allocator. */
const PIECE = 12;

/** Where pieces of `secrets` stand in the memory of the process `pid`: a name for each piece found. */
export function pieces(pid, secrets) {
  const wanted = secrets.flatMap((secret) => split(secret));
  const memory = openSync(`/proc/${pid}/mem`, "r");
  const found = [];
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, "latin1").split("\n")) {
      const [, start, end, name] = MAPPING.exec(line) ?? [];
      if (start === undefined || KERNELS.test(name)) continue;
      const bytes = read(memory, Number.parseInt(start, 16), Number.parseInt(end, 16));
      for (const { piece, index } of wanted) {
        for (let at = bytes.indexOf(piece); at >= 0; at = bytes.indexOf(piece, at + 1)) {
          found.push(`piece ${index} in ${name || "memory without a name"}, ${start}+${at.toString(16)}`);
        }
      }
    }
  } finally {
    closeSync(memory);
  }
  return found;
}

/** The same once there is none left, or after so many looks. */
export function piecesLeft(pid, secrets, looks = 10) {
  const found = pieces(pid, secrets);
  return found.length === 0 || looks === 1 ? found : piecesLeft(pid, secrets, looks - 1);
}

function split(secret) {
  const count = Math.floor(secret.length / PIECE);
  return Array.from({ length: count }, (_, index) => ({
    piece: Buffer.from(secret.slice(index * PIECE, (index + 1) * PIECE)),
    index,
  }));
}

/** The bytes of a mapping, as far as they can be read: the process runs on, and may have given them back. */
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
