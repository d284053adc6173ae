// The key files of Azure Arc's agent: one for each challenge, valid for one response.

import { randomBytes, randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, posix, resolve, win32 } from "node:path";

const KEY_BYTES = 32;
const OWNER_ONLY = 0o600;

export class ArcKeyStore {
  readonly #directory: string;
  // The topmost directory that was created here, which `close` may remove; undefined if all of them existed.
  readonly #topmostCreated: string | undefined;
  readonly #fileByKey = new Map<string, string>();

  /** Creates `directory` if it is missing. Without an argument it is a new temporary directory. */
  constructor(directory: string | undefined) {
    if (directory === undefined) {
      this.#directory = mkdtempSync(join(tmpdir(), "emulator-arc-"));
      this.#topmostCreated = this.#directory;
    } else {
      this.#directory = resolve(directory);
      this.#topmostCreated = mkdirSync(this.#directory, { recursive: true });
    }
  }

  /** Creates a key file and returns its path. */
  createKeyFile(): string {
    const key = randomBytes(KEY_BYTES).toString("base64");
    const file = join(this.#directory, `${randomUUID()}.key`);
    writeFileSync(file, key, { mode: OWNER_ONLY });
    this.#fileByKey.set(key, file);
    return file;
  }

  /** Returns whether the key is valid, and removes it with its file. */
  redeem(key: string): boolean {
    const file = this.#fileByKey.get(key);
    if (file === undefined) return false;
    this.#fileByKey.delete(key);
    rmSync(file, { force: true });
    return true;
  }

  close(): void {
    for (const file of this.#fileByKey.values()) rmSync(file, { force: true });
    if (this.#topmostCreated === undefined) return;
    for (const directory of createdDirectories(this.#directory, this.#topmostCreated)) {
      if (!removeIfEmpty(directory)) return;
    }
  }
}

/**
 * Returns `directory` and its parents up to `topmost`; none if `topmost` is not one of them. Windows has two forms of
 * the same path, and Node.js returns `\\?\C:\…` from `mkdirSync`.
 */
export function createdDirectories(
  directory: string,
  topmost: string,
  platform: NodeJS.Platform = process.platform,
): readonly string[] {
  const { dirname, toNamespacedPath } = platform === "win32" ? win32 : posix;
  const end = toNamespacedPath(topmost);
  const directories = [directory];
  for (let last = directory; toNamespacedPath(last) !== end; ) {
    const parent = dirname(last);
    if (parent === last) return [];
    directories.push(parent);
    last = parent;
  }
  return directories;
}

function removeIfEmpty(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch {
    return false;
  }
}
