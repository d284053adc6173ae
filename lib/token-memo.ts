/*
 * The token memo: JavaScript's memory of fresh tokens, which answers most calls without native code's cache. A memoized
 * token is served while native code's generation is unchanged and its `freshUntilMs` lies ahead.
 */

import { binding } from "./native-binding.js";
import type { PendingCall } from "./pending-call.js";
import { cacheHitMetadata, type MemoizedToken } from "./result.js";
import { isSystemClock } from "./system-clock.js";

const { generation } = binding;

/**
 * How long a token is memoized at most. After that native code has to confirm it, and a sweep removes tokens that were
 * not requested again.
 */
const MEMO_LIFETIME_MS = 300_000;
/** From this number of memos on, they are also swept when their number has doubled. */
const MEMO_SWEEP_THRESHOLD = 64;

/** The memos of this thread that hold tokens, and the generation of all these tokens. */
const memos = new Set<WeakRef<TokenMemo>>();
let generationOfMemos: number | undefined;
let nextMemoSweepMs = 0;
let nextMemoSweepSize = MEMO_SWEEP_THRESHOLD;

/** Clears this thread's memos if the cache was cleared or a token replaced since they were filled. */
export function forgetReplacedTokens(current: number): void {
  if (current === generationOfMemos) return;
  generationOfMemos = current;
  for (const memo of memos) memo.deref()?.clear();
  memos.clear();
}

/** Removes stale tokens from this thread's memos: an application may never request them again. */
function sweepMemos(now: number): void {
  for (const memo of memos) {
    if (!memo.deref()?.sweep(now)) memos.delete(memo);
  }
  nextMemoSweepMs = now + MEMO_LIFETIME_MS;
  nextMemoSweepSize = Math.max(MEMO_SWEEP_THRESHOLD, memos.size * 2);
}

/** One application's tokens that native code declared fresh, and its pending calls. */
export class TokenMemo {
  /** Native calls that further callers can share, by resource. getToken's are separate: their errors differ. */
  readonly pendingCalls = new Map<string, PendingCall>();
  readonly pendingCredentialCalls = new Map<string, PendingCall>();
  readonly #tokens = new Map<string, MemoizedToken>();
  /** A weak reference, so that an application's tokens are garbage-collected with it. */
  #reference: WeakRef<TokenMemo> | undefined;

  get(resource: string): MemoizedToken | undefined {
    const token = this.#tokens.get(resource);
    if (token === undefined || !isSystemClock()) return undefined;
    if (token.generation === generation() && Date.now() < token.freshUntilMs) return token;
    this.#tokens.delete(resource);
    return undefined;
  }

  clear(): void {
    this.#tokens.clear();
  }

  /** Removes stale tokens. Returns whether any token is left. */
  sweep(now: number): boolean {
    for (const [resource, { freshUntilMs }] of this.#tokens) {
      if (freshUntilMs <= now) this.#tokens.delete(resource);
    }
    return this.#tokens.size > 0;
  }

  set(resource: string, token: MemoizedToken): void {
    if (token.freshUntilMs === 0 || !isSystemClock()) return;
    const current = generation();
    forgetReplacedTokens(current);
    if (token.generation !== current) return; // The cache was cleared before the token arrived here.
    const now = Date.now();
    token.freshUntilMs = Math.min(token.freshUntilMs, now + MEMO_LIFETIME_MS);
    token.metadataOfHit ??= cacheHitMetadata(token.metadata.tokenEndpoint);
    this.#tokens.set(resource, token);
    this.#reference ??= new WeakRef(this);
    memos.add(this.#reference);
    const isDue = now >= nextMemoSweepMs || nextMemoSweepMs - now > MEMO_LIFETIME_MS; // The clock was set back.
    if (isDue || memos.size >= nextMemoSweepSize) sweepMemos(now);
  }
}
