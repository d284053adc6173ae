//! Redaction: text of others as one line that holds neither a secret nor a token.
//!
//! Text that comes from outside of this package goes through a [`Redactor`] before it is shown: responses, header
//! fields, the messages of HTTP and TLS libraries, of a caller's client and of the operating system.
//!
//! An encoder chooses character by character what it encodes, so that a list of encoded secrets can never be
//! complete. The text is decoded instead: `decoding` makes every view of the text that decoding can reach, in which
//! each byte has its range of the text. What `secrets` or `tokens` find in a view is removed from the text.

mod base64_runs;
mod decoding;
mod escapes;
mod known_secrets;
mod secrets;
mod tokens;
mod view;

use std::ops::Range;

use self::decoding::for_each_view;
pub use self::known_secrets::KnownSecrets;
use self::secrets::SecretIndex;
use self::tokens::token_ranges;
use self::view::View;
use crate::token::Secret;

const REDACTED: &str = "<redacted>";
/// Shows that a text was longer.
const ELLIPSIS: char = '…';
/// At least this many bytes of a text are searched, and [`BYTES_PER_CHARACTER`] for each character that may be shown.
const MIN_SEARCHED_BYTES: usize = 4_096;
/// At least this many bytes of a text are passed through to find those: white space, of which there may be any amount, is
/// not searched.
const MIN_SCANNED_BYTES: usize = 65_536;
/// Escapes and removed secrets need several bytes of a text for each character that is shown in the end.
const BYTES_PER_CHARACTER: usize = 8;
/// The end of a text that was cut is searched, but not shown: eight characters of a secret of 64 bytes each fit in.
const CUT_OVERLAP: usize = 512;
/// Longer secrets, all together, are not searched for: nothing is shown then. Real tokens have some 2 KiB.
const MAX_SECRET_BYTES: usize = 24_576;

/// Removes secrets and tokens from texts.
pub struct Redactor {
    /// `None` if the secrets are too long to be searched for.
    index: Option<SecretIndex>,
}

impl Redactor {
    /// A redactor for these secrets, and for everything that looks like a JWT.
    pub fn new(secrets: &[Secret]) -> Self {
        let bytes: usize = secrets.iter().map(|secret| secret.expose_secret().len()).sum();
        Self {
            index: (bytes <= MAX_SECRET_BYTES).then(|| SecretIndex::new(secrets)),
        }
    }

    /// Returns the text as one line of at most `max_chars` characters, without control characters, secrets and
    /// tokens. Only the beginning of a text that is much longer is looked at.
    pub fn redact(&self, text: &str, max_chars: usize) -> String {
        let line = Line::new(text, max_chars);
        let redacted = match self.secret_ranges(&line.text) {
            Some(ranges) => redact_ranges(line.shown(), ranges),
            None => REDACTED.to_owned(),
        };
        shorten(redacted, max_chars, line.is_cut)
    }

    /// Where secrets and tokens are; `None` if that cannot be told within bounds.
    fn secret_ranges(&self, text: &str) -> Option<Vec<Range<usize>>> {
        if text.is_empty() {
            return Some(Vec::new());
        }
        let index = self.index.as_ref()?;
        let mut ranges = Vec::new();
        let is_complete = for_each_view(View::new(text), |view| {
            ranges.extend(index.find_all(view));
            ranges.extend(token_ranges(view));
        });
        is_complete.then_some(ranges)
    }
}

/// The beginning of a text in one line: without control characters, with single blanks.
struct Line {
    text: String,
    is_cut: bool,
}

impl Line {
    fn new(text: &str, max_chars: usize) -> Self {
        let limit = max_chars
            .saturating_mul(BYTES_PER_CHARACTER)
            .max(MIN_SEARCHED_BYTES);
        let mut line = String::with_capacity(limit.min(text.len()));
        let mut has_gap = false;
        let scanned = limit.max(MIN_SCANNED_BYTES);
        for (at, c) in text.char_indices() {
            if at >= scanned {
                return Self {
                    text: line,
                    is_cut: true,
                };
            }
            if c.is_whitespace() {
                has_gap = !line.is_empty();
            } else if !c.is_control() {
                if line.len() >= limit {
                    return Self {
                        text: line,
                        is_cut: true,
                    };
                }
                if has_gap {
                    line.push(' ');
                    has_gap = false;
                }
                line.push(c);
            }
        }
        Self {
            text: line,
            is_cut: false,
        }
    }

    /// What of it may be shown.
    fn shown(&self) -> &str {
        if !self.is_cut {
            return &self.text;
        }
        let mut end = self.text.len().saturating_sub(CUT_OVERLAP);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        self.text[..end].trim_end()
    }
}

/// The text with a mark in place of each range; ranges that touch each other become one.
fn redact_ranges(text: &str, mut ranges: Vec<Range<usize>>) -> String {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut redacted = String::with_capacity(text.len());
    let mut shown_to = 0;
    let mut ends_in_mark = false;
    for range in ranges.into_iter().filter(|range| range.start < text.len()) {
        if range.start > shown_to || !ends_in_mark {
            redacted.push_str(text.get(shown_to..range.start).unwrap_or_default());
            redacted.push_str(REDACTED);
            ends_in_mark = true;
        }
        shown_to = shown_to.max(range.end);
    }
    redacted.push_str(text.get(shown_to..).unwrap_or_default());
    redacted
}

fn shorten(text: String, max_chars: usize, is_cut: bool) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}{ELLIPSIS}", &text[..end]),
        None if is_cut => format!("{text}{ELLIPSIS}"),
        None => text,
    }
}

#[cfg(test)]
mod tests;
