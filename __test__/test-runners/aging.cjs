// Steps of a user's tests with a token and their runner's fake timers, for Vitest and for Jest. The file is loaded within the
// runner, so that `Date` and the timers are the ones that the runner replaces. The endpoint is the emulator, whose tokens
// live for an hour.

const assert = require("node:assert/strict");
const { ManagedIdentityApplication } = require("managed-identity-native");

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Entra's tokens are dated in whole seconds, and a runner may take a moment between two calls. */
const TOLERANCE = MINUTE;

/** Defines the tests. `timers` has `start(now)`, `advance(ms)`, `set(ms)` and `restore()` of one runner. */
module.exports = function defineAgingTests(test, timers) {
  /** Acquires tokens for a resource that no other test uses: all applications of a process share one cache. */
  function tokensFor(name) {
    const application = new ManagedIdentityApplication();
    return () => application.acquireToken(`https://${name}.example`);
  }

  /** Asserts that a token is valid by the clock that the caller sees, and for no longer than its lifetime. */
  function assertValid({ expiresOn }) {
    const left = expiresOn.getTime() - Date.now();
    assert.ok(left > 0 && left <= HOUR + TOLERANCE, `${left} ms left`);
  }

  test("a token ages by two hours", async () => {
    const acquire = tokensFor("ages");
    const first = await acquire();
    timers.start(Date.now());
    const cached = await acquire();
    assert.deepEqual([cached.accessToken, cached.fromCache], [first.accessToken, true]);
    timers.advance(HOUR / 2);
    const older = await acquire();
    assert.equal(older.accessToken, first.accessToken);
    assert.ok(older.expiresOn.getTime() - Date.now() <= HOUR / 2 + TOLERANCE);
    timers.advance(2 * HOUR);
    const second = await acquire();
    assert.deepEqual([second.accessToken === first.accessToken, second.fromCache], [false, false]);
    assertValid(second);
    const again = await acquire();
    assert.deepEqual([again.accessToken, again.fromCache], [second.accessToken, true]);
  });

  test("a clock that is set back does not make an expired token fresh", async () => {
    const acquire = tokensFor("set-back");
    const first = await acquire();
    const started = Date.now();
    timers.start(started);
    timers.set(started + 2 * HOUR);
    const second = await acquire();
    assert.notEqual(second.accessToken, first.accessToken);
    // The first token has expired by the first of these times, and by the clock's own count at the others.
    for (const past of [started + 1.5 * HOUR, started - HOUR, started - 10 * DAY]) {
      timers.set(past);
      const served = await acquire();
      assert.notEqual(served.accessToken, first.accessToken);
      assertValid(served);
    }
    timers.advance(2 * HOUR);
    const last = await acquire();
    assert.equal(last.fromCache, false);
    assert.ok(![first.accessToken, second.accessToken].includes(last.accessToken));
    assertValid(last);
  });

  test("real time afterwards serves no token by its fake age", async () => {
    const acquire = tokensFor("afterwards");
    const fake = [];
    for (const offset of [10 * DAY, -10 * DAY]) {
      timers.start(Date.now() + offset);
      const { accessToken } = await acquire();
      timers.advance(2 * HOUR);
      const later = await acquire();
      assert.notEqual(later.accessToken, accessToken);
      fake.push(accessToken, later.accessToken);
      timers.restore();
    }
    const real = await acquire();
    assert.ok(!fake.includes(real.accessToken));
    assertValid(real);
    const again = await acquire();
    assert.deepEqual([again.accessToken, again.fromCache], [real.accessToken, true]);
  });
};
