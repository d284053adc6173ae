"use strict";

// The key files of Azure Arc's agent: one for each challenge, valid for one response.

const { randomBytes, randomUUID } = require("node:crypto");
const { mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { dirname, join, resolve } = require("node:path");

const KEY_BYTES = 32;
const OWNER_ONLY = 0o600;

class ArcKeyStore {
  #directory;
  // The topmost directory that was created here, which `close` may remove; undefined if all of them existed.
  #topmostCreated;
  #fileByKey = new Map();

  /** Creates `directory` if it is missing. Without an argument it is a new temporary directory. */
  constructor(directory) {
    if (directory === undefined) {
      this.#directory = mkdtempSync(join(tmpdir(), "emulator-arc-"));
      this.#topmostCreated = this.#directory;
    } else {
      this.#directory = resolve(directory);
      this.#topmostCreated = mkdirSync(this.#directory, { recursive: true });
    }
  }

  /** Creates a key file and returns its path. */
  createKeyFile() {
    const key = randomBytes(KEY_BYTES).toString("base64");
    const file = join(this.#directory, `${randomUUID()}.key`);
    writeFileSync(file, key, { mode: OWNER_ONLY });
    this.#fileByKey.set(key, file);
    return file;
  }

  /** Returns whether the key is valid, and removes it with its file. */
  redeem(key) {
    const file = this.#fileByKey.get(key);
    if (file === undefined) return false;
    this.#fileByKey.delete(key);
    rmSync(file, { force: true });
    return true;
  }

  close() {
    for (const file of this.#fileByKey.values()) rmSync(file, { force: true });
    if (this.#topmostCreated !== undefined) removeEmpty(this.#directory, this.#topmostCreated);
  }
}

/** Removes `directory` and its parents up to `topmost`. Stops at the first one that is not empty. */
function removeEmpty(directory, topmost) {
  try {
    rmdirSync(directory);
  } catch {
    return;
  }
  if (directory !== topmost) removeEmpty(dirname(directory), topmost);
}

module.exports = { ArcKeyStore };
