//! Mutated seeds for the run without libFuzzer. The generator has a fixed seed, so every run is the same.

/// Texts that parsers often handle wrongly.
const SPECIAL: &[&str] = &[
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

/// A generator of mutated inputs.
pub struct Mutator<'a> {
    seeds: &'a [Vec<u8>],
    tokens: &'a [Vec<u8>],
    state: u64,
}

impl<'a> Mutator<'a> {
    /// Creates a generator for these seeds (at least one) and these dictionary tokens.
    pub fn new(seeds: &'a [Vec<u8>], tokens: &'a [Vec<u8>]) -> Self {
        assert!(!seeds.is_empty(), "there are no seeds");
        Self {
            seeds,
            tokens,
            state: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Returns the next input: a seed with one to eight mutations.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.pick(self.seeds).clone();
        for _ in 0..=self.next_below(8) {
            self.mutate(&mut input);
        }
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.next_below(input.len() + 1);
        let end = (at + 1 + self.next_below(8)).min(input.len());
        match self.next_below(8) {
            0 if at < input.len() => input[at] ^= 1 << self.next_below(8),
            1 if at < input.len() => input[at] = u8::try_from(self.next_below(256)).unwrap_or_default(),
            2 => drop(input.drain(at..end)),
            3 => {
                let repeated = input[at..end].to_vec();
                insert(input, at, &repeated);
            }
            4 => {
                // The start of this seed and the end of another.
                let other = self.pick(self.seeds);
                let from = self.next_below(other.len() + 1);
                input.truncate(at);
                input.extend(&other[from..]);
            }
            5 if !self.tokens.is_empty() => insert(input, at, self.pick::<Vec<u8>>(self.tokens)),
            6 => {
                // A long text.
                let long = [SPECIAL[self.next_below(SPECIAL.len())]]
                    .repeat(1 << self.next_below(12))
                    .concat();
                insert(input, at, long.as_bytes());
            }
            _ => insert(input, at, SPECIAL[self.next_below(SPECIAL.len())].as_bytes()),
        }
    }

    fn pick<T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.next_below(from.len())]
    }

    /// Returns a number below `limit`, by `SplitMix64`.
    fn next_below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).expect("below a usize")
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}

/// Parses a dictionary of libFuzzer: each line is a token `"…"`, in which `\xAB` is a byte.
pub fn parse_dictionary(dictionary: &str) -> Vec<Vec<u8>> {
    let lines = dictionary
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with('"'));
    lines.map(|line| unescape(line.trim_matches('"'))).collect()
}

fn unescape(token: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = token.as_bytes();
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
