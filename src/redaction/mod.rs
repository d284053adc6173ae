//! Redaction: converts untrusted text to one line without secrets and tokens.
//!
//! Text from outside this package passes through a [`Redactor`] before it is used in a message: responses, header fields,
//! and the messages of HTTP and TLS libraries, of custom network clients and of the operating system.
//!
//! An encoder chooses for each character whether to encode it, so a list of encoded secrets cannot be complete. The text
//! is decoded instead: `decoding` creates every view of the text that decoding can reach. Each byte of a view has its
//! range of the original text. The ranges in which `secrets` or `tokens` find something are replaced.

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
/// Marks a text that was cut.
const ELLIPSIS: char = '…';
/// How many bytes of a text are searched at least. For a long result it is [`BYTES_PER_CHARACTER`] for each character.
const MIN_SEARCHED_BYTES: usize = 4_096;
/// How many bytes of a text are read at least to find those. White space, which is not searched, can be of any length.
const MIN_SCANNED_BYTES: usize = 65_536;
/// Escapes and redacted secrets take several bytes of the text for each character of the result.
const BYTES_PER_CHARACTER: usize = 8;
/// The last bytes of a cut text are searched but not shown, because a secret may be cut there. Eight characters of a
/// secret with 64 bytes each fit into them.
const CUT_OVERLAP: usize = 512;
/// The most bytes of all secrets together. Beyond it, whole texts are redacted. Real tokens have about 2 KiB.
const MAX_SECRET_BYTES: usize = 24_576;

/// Redacts secrets and tokens in texts.
pub struct Redactor {
    /// `None` if the secrets exceed [`MAX_SECRET_BYTES`].
    index: Option<SecretIndex>,
}

impl Redactor {
    /// Creates a redactor for these secrets and for everything that looks like a JWT.
    pub fn new(secrets: &[Secret]) -> Self {
        let bytes: usize = secrets.iter().map(|secret| secret.expose_secret().len()).sum();
        Self {
            index: (bytes <= MAX_SECRET_BYTES).then(|| SecretIndex::new(secrets)),
        }
    }

    /// Returns the text as one line of at most `max_chars` characters (and an ellipsis if it was cut), without control
    /// characters, secrets and tokens. Reads only the beginning of a text that is much longer.
    pub fn redact(&self, text: &str, max_chars: usize) -> String {
        let line = Line::new(text, max_chars);
        let redacted = match self.secret_ranges(&line.text) {
            Some(ranges) => redact_ranges(line.shown(), ranges),
            None => REDACTED.to_owned(),
        };
        shorten(redacted, max_chars, line.is_cut)
    }

    /// Returns the ranges of secrets and tokens; `None` if the search exceeds its limits.
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

/// The beginning of a text as one line: without control characters, and with single spaces.
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

    /// Returns the part that may be shown.
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

/// Replaces each range with [`REDACTED`]. Adjacent ranges are replaced once.
fn redact_ranges(text: &str, mut ranges: Vec<Range<usize>>) -> String {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut redacted = String::with_capacity(text.len());
    let mut shown_to = 0;
    let mut ends_redacted = false;
    for range in ranges.into_iter().filter(|range| range.start < text.len()) {
        if range.start > shown_to || !ends_redacted {
            redacted.push_str(text.get(shown_to..range.start).unwrap_or_default());
            redacted.push_str(REDACTED);
            ends_redacted = true;
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
