//! Words of others, made fit to be read: without control characters, without any secret that was
//! sent to them, without anything that looks like a token.
//!
//! The last door before a message: whoever quotes an endpoint or a caller's client comes by here.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::source::COMPONENT;
use crate::token::Secret;

/// What base64 makes of less than this can stand anywhere by chance.
const BASE64_FROM: usize = 8;
const REDACTED: &str = "<redacted>";
/// How every JWT begins: `{"` in base64url.
const JWT_START: &str = "eyJ";

/// One line of at most so many characters, without control characters, secrets and tokens.
pub fn clean(text: &str, secrets: &[Secret], most: usize) -> String {
    let visible = Visible::of(text);
    let mut hidden = visible.tokens();
    for secret in secrets {
        for form in forms(secret.expose()) {
            hidden.extend(visible.occurrences(&form));
        }
    }
    let line = visible.without(hidden);
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// A secret as it is, and in the encodings in which endpoints and proxies repeat what they were sent.
fn forms(secret: &str) -> Vec<Zeroizing<String>> {
    if secret.trim().is_empty() {
        return Vec::new(); // Blanks keep nothing secret, and what encodes them is in every form.
    }
    let html = |apostrophe: &str| {
        let escaped = secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        escaped.replace('"', "&quot;").replace('\'', apostrophe)
    };
    let component = utf8_percent_encode(secret, COMPONENT).to_string();
    let everything = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let mut forms = vec![
        secret.to_owned(),
        component.replace("%20", "+"),
        component,
        everything,
        secret.replace('\\', "\\\\").replace('"', "\\\""),
        secret.replace('/', "\\/"),
        html("&#39;"),
        html("&#x27;"),
    ];
    if secret.len() >= BASE64_FROM {
        forms.extend((0..3).flat_map(|offset| base64_inside(secret, offset)));
    }
    forms.sort_unstable();
    forms.dedup();
    forms.into_iter().map(Zeroizing::new).collect()
}

/// What base64 makes of a secret that stands so many bytes, modulo 3, after the beginning of what is encoded:
/// the characters that depend on nothing but the secret.
fn base64_inside(secret: &str, offset: usize) -> [String; 2] {
    let bytes = Zeroizing::new([&b"\0\0"[..offset], secret.as_bytes()].concat());
    let (from, to) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
    [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD].map(|base64| base64.encode(&*bytes)[from..to].to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_encoding_that_repeats_it() {
        let secret = "s3cr&t/\"it's <32> long\\é";
        for told in [
            secret.to_owned(),
            secret.to_uppercase().replace('É', "é"),
            "s3cr%26t%2F%22it's%20%3C32%3E%20long%5C%C3%A9".to_owned(),
            "s3cr%26t%2f%22it's+%3c32%3e+long%5c%c3%a9".to_owned(),
            "s3cr%26t%2F%22it%27s%20%3C32%3E%20long%5C%C3%A9".to_owned(),
            "s3cr&amp;t/&quot;it&#39;s &lt;32&gt; long\\é".to_owned(),
            "s3cr&amp;t/&quot;it&#x27;s &lt;32&gt; long\\é".to_owned(),
            "s3cr&t/\\\"it's <32> long\\\\é".to_owned(),
            "s3cr&t\\/\"it's <32> long\\é".to_owned(),
        ] {
            let line = clean(
                &format!("got {told} from you"),
                &[Secret::new(secret.into())],
                500,
            );
            assert_eq!(line, "got <redacted> from you", "{told}");
        }
        for prefix in ["", "a", "ab", "abc", "user:"] {
            for base64 in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let told = base64.encode(format!("{prefix}{secret}{prefix}"));
                let line = clean(&told, &[Secret::new(secret.into())], 500);
                assert!(line.contains(REDACTED), "{line}");
                // Characters that depend on what stands around it may stay: no more than one at each end.
                assert!(
                    line.len() <= REDACTED.len() + 2 * (prefix.len() + 2) + 2,
                    "{line}"
                );
            }
        }
    }
}
