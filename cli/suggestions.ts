// Suggestions for misspelt arguments in error messages.

/** A suggestion must be closer than this (Levenshtein distance). */
const MAX_EDIT_DISTANCE = 3;
/** A longer argument may be a secret in the wrong place, and is not repeated. */
const MAX_QUOTED_CHARS = 40;

/** Returns the end of an error message: "; did you mean …?" if one of `known` is similar, otherwise the whole list. */
export function suggestion(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near === undefined ? `. Choose one of ${known.join(", ")}.` : `; did you mean ${near}?`;
}

/** Returns the most similar of `known`, or undefined if none is similar enough. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const [best] = known
    .map((candidate) => ({ candidate, distance: editDistance(normalize(word), normalize(candidate)) }))
    .sort((one, other) => one.distance - other.distance);
  if (best === undefined) return undefined;
  const { candidate, distance } = best;
  return distance < MAX_EDIT_DISTANCE && distance < normalize(candidate).length ? candidate : undefined;
}

/** Returns a word without case and dashes, for comparisons. */
export function normalize(word: string): string {
  return word.toLowerCase().replaceAll("-", "");
}

/** Returns an argument as an error message may quote it. */
export function abbreviate(text: string): string {
  return text.length > MAX_QUOTED_CHARS ? `${text.slice(0, 8)}… (${text.length} characters)` : text;
}

/** Returns the Levenshtein distance of two words. */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...one].entries()) {
    let diagonal = index;
    let left = index + 1;
    const next = [left];
    for (const [at, otherLetter] of [...other].entries()) {
      const above = row[at + 1] ?? 0;
      left = Math.min(diagonal + (letter === otherLetter ? 0 : 1), above + 1, left + 1);
      next.push(left);
      diagonal = above;
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
