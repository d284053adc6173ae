//! Inputs for the run without libFuzzer: seeds, changed by a generator that is the same at every run.

/// Bytes that a parser of text may stumble over.
const ODD: &[&str] = &[
    "\0",
    "\t",
    "\n",
    " ",
    "\"",
    "%",
    "'",
    "+",
    "-",
    ".",
    "/",
    ":",
    "<",
    "=",
    "@",
    "\\",
    "{",
    "}",
    "0",
    "9",
    "T",
    "Z",
    "é",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "\u{1f4a5}",
    "\u{fffd}",
    "00",
    "-1",
    "4294967296",
    "9223372036854775807",
    "18446744073709551616",
    "1e400",
    "null",
    "\\u0000",
    "\\ud800",
];

/// Draws changed inputs.
pub struct Mutation<'a> {
    seeds: &'a [Vec<u8>],
    words: &'a [Vec<u8>],
    state: u64,
}

impl<'a> Mutation<'a> {
    /// Changes these seeds, of which there is at least one, also by putting in these words.
    pub fn new(seeds: &'a [Vec<u8>], words: &'a [Vec<u8>]) -> Self {
        assert!(!seeds.is_empty(), "nothing to change");
        Self {
            seeds,
            words,
            state: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// The next input: a seed with one to eight changes.
    pub fn draw(&mut self) -> Vec<u8> {
        let mut input = self.pick(self.seeds).clone();
        for _ in 0..=self.roll(8) {
            self.change(&mut input);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.roll(input.len() + 1);
        let end = (at + 1 + self.roll(8)).min(input.len());
        match self.roll(8) {
            0 if at < input.len() => input[at] ^= 1 << self.roll(8),
            1 if at < input.len() => input[at] = u8::try_from(self.roll(256)).unwrap_or_default(),
            2 => drop(input.drain(at..end)),
            3 => {
                let doubled = input[at..end].to_vec();
                insert(input, at, &doubled);
            }
            4 => {
                // The head of this seed with the tail of another.
                let other = self.pick(self.seeds);
                let from = self.roll(other.len() + 1);
                input.truncate(at);
                input.extend(&other[from..]);
            }
            5 if !self.words.is_empty() => insert(input, at, self.pick::<Vec<u8>>(self.words)),
            6 => {
                // Texts of which the length matters.
                let long = [ODD[self.roll(ODD.len())]].repeat(1 << self.roll(12)).concat();
                insert(input, at, long.as_bytes());
            }
            _ => insert(input, at, ODD[self.roll(ODD.len())].as_bytes()),
        }
    }

    fn pick<T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }

    /// A number below `sides`, by `SplitMix64`.
    fn roll(&mut self, sides: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).expect("below a usize")
    }
}

fn insert(input: &mut Vec<u8>, at: usize, what: &[u8]) {
    input.splice(at..at, what.iter().copied());
}

/// The words of a dictionary as libFuzzer reads it: a line each, `"…"`, in which `\xAB` is a byte.
pub fn words(dictionary: &str) -> Vec<Vec<u8>> {
    let lines = dictionary
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with('"'));
    lines.map(|line| unescaped(line.trim_matches('"'))).collect()
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail.strip_prefix(b"x").and_then(|code| code.split_at_checked(2));
        (bytes, rest) = match (first, escaped, tail.split_first()) {
            (b'\\', Some((code, tail)), _) => (with(bytes, hexadecimal(code)), tail),
            (b'\\', None, Some((escaped, tail))) => (with(bytes, *escaped), tail),
            _ => (with(bytes, *first), tail),
        };
    }
    bytes
}

fn hexadecimal(code: &[u8]) -> u8 {
    let code = std::str::from_utf8(code).expect("ASCII");
    u8::from_str_radix(code, 16).expect("two hexadecimal digits")
}

fn with(mut bytes: Vec<u8>, byte: u8) -> Vec<u8> {
    bytes.push(byte);
    bytes
}
