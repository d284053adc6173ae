// Reproducible random numbers.

/** Returns a function that returns the next number in [0, 1) (mulberry32). */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Chooses one of `[weight, value]` pairs by weight. */
export function choose(random, weighted) {
  const total = weighted.reduce((sum, [weight]) => sum + weight, 0);
  let remaining = random() * total;
  for (const [weight, value] of weighted) {
    remaining -= weight;
    if (remaining < 0) return value;
  }
  return weighted.at(-1)[1];
}

/** A random integer in [least, most]. */
export function between(random, least, most) {
  return least + Math.floor(random() * (most - least + 1));
}
