//! Visits every view of a text that decoding can reach, within limits.

use std::collections::HashSet;

use super::base64_runs::{OFFSETS, decode_base64};
use super::escapes::{Reading, decode_escapes, has_escapes};
use super::view::View;

/// How a text is decoded repeatedly.
#[derive(Clone, Copy)]
struct Chain {
    reading: Reading,
    /// Whether blanks are kept, so that a blank ends an escape. Otherwise an escape may contain blanks.
    keeps_blanks: bool,
}

const CHAINS: [Chain; 6] = [
    Chain::new(Reading::Strict, true),
    Chain::new(Reading::Strict, false),
    Chain::new(Reading::Greedy, true),
    Chain::new(Reading::Greedy, false),
    Chain::new(Reading::Ascii, true),
    Chain::new(Reading::Ascii, false),
];
/// The most levels of nesting in the strict reading. It matters only for a secret that looks encoded itself; the other
/// readings decode all levels at once.
const MAX_STRICT_LEVELS: usize = 4;
/// The most bytes of all views of a text, plus [`MAX_GROWTH`] for each byte of the text. Takes a few milliseconds.
const BASE_BUDGET: usize = 65_536;
const MAX_GROWTH: usize = 24;
/// The most bytes of all views of a secret, for each of its bytes. A secret rarely contains anything to decode.
const MAX_SECRET_GROWTH: usize = 8;

impl Chain {
    const fn new(reading: Reading, keeps_blanks: bool) -> Self {
        Self {
            reading,
            keeps_blanks,
        }
    }
}

/// Visits the text and every view that decoding can reach, each without blanks. Returns false if a limit was exceeded.
pub(super) fn for_each_view(text: View, visit: impl FnMut(&View)) -> bool {
    Walk::new(true, BASE_BUDGET + MAX_GROWTH * text.len(), visit).run(text)
}

/// Visits a secret and its decoded forms, which appear when a text that contains it is decoded. Each is without blanks.
pub(super) fn for_each_secret_view(secret: View, visit: impl FnMut(&View)) {
    Walk::new(false, MAX_SECRET_GROWTH * secret.len(), visit).run(secret);
}

struct Walk<V> {
    visit: V,
    /// Whether base64 is decoded.
    has_base64: bool,
    /// How many bytes of views may still be visited.
    budget: usize,
    visited: HashSet<Vec<u8>>,
    /// Texts that were decoded from base64 and are not visited yet.
    pending: Vec<View>,
}

impl<V: FnMut(&View)> Walk<V> {
    fn new(has_base64: bool, budget: usize, visit: V) -> Self {
        Self {
            visit,
            has_base64,
            budget,
            visited: HashSet::new(),
            pending: Vec::new(),
        }
    }

    /// Returns false if the budget was exceeded.
    fn run(mut self, text: View) -> bool {
        self.pending.push(text);
        while let Some(text) = self.pending.pop() {
            // Without escapes all chains give the same views.
            let count = if has_escapes(&text) { CHAINS.len() } else { 1 };
            if !CHAINS[..count].iter().all(|chain| self.follow(*chain, &text)) {
                return false;
            }
        }
        true
    }

    /// Decodes escapes until there are none. Returns false if the budget was exceeded.
    fn follow(&mut self, chain: Chain, text: &View) -> bool {
        let mut decoded = None;
        for level in 0.. {
            let view = decoded.as_ref().unwrap_or(text);
            let Some(remaining) = self.budget.checked_sub(view.len()) else {
                return false;
            };
            self.budget = remaining;
            let compact = view.without_blanks();
            let compact = compact.as_ref().unwrap_or(view);
            self.visit(compact);
            if chain.reading == Reading::Strict && level == MAX_STRICT_LEVELS {
                break;
            }
            decoded = decode_escapes(if chain.keeps_blanks { view } else { compact }, chain.reading);
            if decoded.is_none() {
                break;
            }
        }
        true
    }

    fn visit(&mut self, view: &View) {
        if self.visited.contains(view.bytes()) {
            return;
        }
        self.visited.insert(view.bytes().to_owned());
        (self.visit)(view);
        // A backslash may stand before any character.
        if let Some(view) = view.without_backslashes() {
            (self.visit)(&view);
        }
        if self.has_base64 {
            self.pending
                .extend(OFFSETS.filter_map(|offset| decode_base64(view, offset)));
        }
    }
}
