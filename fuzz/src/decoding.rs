//! An oracle for redaction: all texts that repeated decoding of a text can give.
//!
//! It shares no code with the decoding of the add-on's crate, and keeps no positions.

use std::collections::HashSet;

/// The limit of decoded texts: more deeply nested encodings are not decoded.
const MAX_TEXTS: usize = 400;
/// Shorter base64 contains less than the part of a secret that is searched for.
const MIN_BASE64: usize = 10;

/// Returns the text and all of its decoded forms.
pub fn decoded_forms(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut seen = HashSet::new();
    let mut pending = vec![text.to_owned()];
    while let Some(text) = pending.pop() {
        if all.len() == MAX_TEXTS || !seen.insert(text.clone()) {
            continue;
        }
        pending.push(decode(&text, percent));
        pending.push(decode(&text, entity));
        pending.push(decode(&text, backslash));
        pending.push(decode(&text, |text| {
            percent(text).or_else(|| entity(text)).or_else(|| backslash(text))
        }));
        pending.push(
            text.chars()
                .filter(|c| !c.is_whitespace() && !c.is_control())
                .collect(),
        );
        pending.extend(base64_texts(&text));
        all.push(text);
    }
    all
}

/// Replaces every escape that `read_escape` reads at the start of a text; it returns the character and the rest.
fn decode(text: &str, read_escape: impl Fn(&str) -> Option<(char, &str)>) -> String {
    let mut decoded = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (c, after) = read_escape(rest).unwrap_or((first, &rest[first.len_utf8()..]));
        decoded.push(c);
        rest = after;
    }
    decoded
}

/// Reads a percent-encoded ASCII character: tokens and keys contain no others.
fn percent(text: &str) -> Option<(char, &str)> {
    let digits = text.strip_prefix('%')?;
    if let Some(digits) = digits.strip_prefix(['u', 'U']) {
        return hexadecimal(digits, 4);
    }
    hexadecimal(digits, 2)
}

fn entity(text: &str) -> Option<(char, &str)> {
    let name = text.strip_prefix('&')?;
    let (c, rest) = match name.strip_prefix('#') {
        Some(number) => {
            let (radix, digits) = match number.strip_prefix(['x', 'X']) {
                Some(digits) => (16, digits),
                None => (10, number),
            };
            let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
            let code = u32::from_str_radix(&digits[..end], radix).ok()?;
            (char::from_u32(code)?, &digits[end..])
        }
        None => [
            ("amp", '&'),
            ("plus", '+'),
            ("sol", '/'),
            ("equals", '='),
            ("period", '.'),
        ]
        .into_iter()
        .find_map(|(known, c)| Some((c, name.strip_prefix(known)?)))?,
    };
    Some((c, rest.strip_prefix(';').unwrap_or(rest)))
}

fn backslash(text: &str) -> Option<(char, &str)> {
    let escaped = text.strip_prefix('\\')?;
    match escaped.chars().next()? {
        'u' => hexadecimal(&escaped[1..], 4),
        'x' => hexadecimal(&escaped[1..], 2),
        'n' | 'r' | 't' => Some((' ', &escaped[1..])),
        c if c.is_ascii_punctuation() => Some((c, &escaped[1..])),
        _ => None,
    }
}

fn hexadecimal(text: &str, length: usize) -> Option<(char, &str)> {
    let digits = text.get(..length)?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let code = u32::from_str_radix(digits, 16).ok()?;
    Some((char::from_u32(code).filter(char::is_ascii)?, &text[length..]))
}

/// Decodes each run of base64, at each of the four possible alignments.
fn base64_texts(text: &str) -> Vec<String> {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_".contains(c);
    let runs = text
        .split(|c| !is_base64(c))
        .filter(|run| run.len() >= MIN_BASE64);
    runs.flat_map(|run| (0..4).filter_map(|skipped| base64_text(&run[skipped..])))
        .collect()
}

fn base64_text(run: &str) -> Option<String> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let run = run.replace('-', "+").replace('_', "/");
    let bits: Vec<u8> = run
        .chars()
        .filter_map(|c| ALPHABET.find(c))
        .flat_map(|value| format!("{value:06b}").into_bytes())
        .collect();
    let bytes: Vec<u8> = bits
        .chunks_exact(8)
        .map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0')))
        .collect();
    // U+FFFD separates the texts.
    let text: String = bytes
        .iter()
        .map(|byte| {
            if byte.is_ascii() {
                char::from(*byte)
            } else {
                '\u{fffd}'
            }
        })
        .collect();
    let is_text = |part: &str| part.len() >= 8;
    text.split('\u{fffd}').any(is_text).then_some(text)
}
