//! Words of others, made fit to be read: without control characters, without any secret that was
//! sent to them, without anything that looks like a token.
//!
//! The last door before a message: whoever quotes an endpoint or a caller's client comes by here.

use std::ops::Range;

use crate::token::Secret;

const REDACTED: &str = "<redacted>";
/// How every JWT begins: `{"` in base64url.
const JWT_START: &str = "eyJ";

/// One line of at most so many characters, without control characters, secrets and tokens.
pub fn clean(text: &str, secrets: &[Secret], most: usize) -> String {
    let visible = Visible::of(text);
    let mut hidden = visible.tokens();
    hidden.extend(
        secrets
            .iter()
            .flat_map(|secret| visible.occurrences(secret.expose())),
    );
    let line = visible.without(hidden);
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// A text without its control characters, in which a secret is found even if it was split by them.
struct Visible {
    text: String,
    /// Where a line feed or the like stood: a blank goes there in the end.
    gaps: Vec<usize>,
}

impl Visible {
    fn of(text: &str) -> Self {
        let mut visible = Self {
            text: String::with_capacity(text.len()),
            gaps: Vec::new(),
        };
        for c in text.chars() {
            if !c.is_control() {
                visible.text.push(c);
            } else if c.is_whitespace() {
                visible.gaps.push(visible.text.len());
            }
        }
        visible
    }

    /// Where a secret stands, in whatever case and however it was spaced out.
    fn occurrences(&self, secret: &str) -> Vec<Range<usize>> {
        let pack = |text: &str| text.split_whitespace().collect::<String>().to_ascii_lowercase();
        let secret = pack(&Self::of(secret).text);
        if secret.is_empty() {
            return Vec::new();
        }
        let inked = self.text.char_indices().filter(|(_, c)| !c.is_whitespace());
        // Where each byte of the packed text stands in the visible one.
        let places: Vec<usize> = inked
            .flat_map(|(start, c)| (0..c.len_utf8()).map(move |byte| start + byte))
            .collect();
        let packed = pack(&self.text);
        let found = packed.match_indices(&secret);
        found
            .map(|(start, found)| places[start]..places[start + found.len() - 1] + 1)
            .collect()
    }

    /// Where something stands that looks like a JWT.
    fn tokens(&self) -> Vec<Range<usize>> {
        let mut tokens = Vec::new();
        let mut from = 0;
        while let Some(start) = self.text[from..].find(JWT_START).map(|start| from + start) {
            let foreign = |c: char| !(c.is_ascii_alphanumeric() || "-_.=".contains(c));
            from = self.text[start..]
                .find(foreign)
                .map_or(self.text.len(), |length| start + length);
            tokens.push(start..from);
        }
        tokens
    }

    /// The text with its gaps, and with a mark in place of whatever is hidden.
    fn without(&self, mut hidden: Vec<Range<usize>>) -> String {
        hidden.sort_by_key(|range| range.start);
        let mut line = String::with_capacity(self.text.len());
        let mut shown_to = 0;
        for range in hidden {
            if range.start >= shown_to {
                self.show(shown_to..range.start, &mut line);
                line.push_str(REDACTED);
            }
            shown_to = shown_to.max(range.end);
        }
        self.show(shown_to..self.text.len(), &mut line);
        line
    }

    fn show(&self, range: Range<usize>, line: &mut String) {
        let mut from = range.start;
        let first = self.gaps.partition_point(|gap| *gap < range.start);
        for gap in self.gaps[first..].iter().take_while(|gap| **gap <= range.end) {
            line.push_str(&self.text[from..*gap]);
            line.push(' ');
            from = *gap;
        }
        line.push_str(&self.text[from..range.end]);
    }
}
