//! Decodes base64 and base64url within a text.

use std::ops::Range;

use super::view::View;

/// The shortest run that is decoded. A shorter one contains fewer than the eight characters that are searched for.
const MIN_RUN: usize = 10;
/// The shortest run of ASCII that counts as decoded text. Shorter ones occur by chance.
const MIN_DECODED_TEXT: usize = 8;
/// Separates the decoded texts of different runs. It is not valid in UTF-8.
const SEPARATOR: u8 = 0xff;

/// The offsets at which a run is decoded: text before the secret, encoded or not, shifts the groups of four characters.
pub(super) const OFFSETS: Range<usize> = 0..4;

/// Decodes every run of base64 characters, from its character `offset`; `None` if the result contains no text.
pub(super) fn decode_base64(view: &View, offset: usize) -> Option<View> {
    let bytes = view.bytes();
    let mut texts = View::default();
    let mut start = 0;
    while start < bytes.len() {
        let length = bytes[start..]
            .iter()
            .take_while(|byte| sextet(**byte).is_some())
            .count();
        if length >= MIN_RUN {
            append_texts(&decode_run(view, start + offset, start + length), &mut texts);
        }
        start += length + 1;
    }
    (texts.len() > 0).then_some(texts)
}

fn decode_run(view: &View, start: usize, end: usize) -> View {
    let mut decoded = View::with_capacity(end.saturating_sub(start) * 3 / 4);
    let (mut bits, mut bit_count) = (0_u32, 0);
    for at in start..end {
        let sextet = sextet(view.bytes()[at]).unwrap_or_default();
        bits = bits << 6 | u32::from(sextet);
        bit_count += 6;
        if bit_count >= 8 {
            bit_count -= 8;
            let [.., byte] = (bits >> bit_count).to_be_bytes();
            // Each byte is decoded from two characters.
            decoded.push(&[byte], view.origin(at - 1..at + 1));
        }
    }
    decoded
}

/// Appends the parts of a decoded run that may be text.
fn append_texts(decoded: &View, texts: &mut View) {
    let bytes = decoded.bytes();
    let mut start = 0;
    while start < bytes.len() {
        let length = bytes[start..].iter().take_while(|byte| byte.is_ascii()).count();
        if length >= MIN_DECODED_TEXT {
            texts.append(decoded, start..start + length);
            texts.push(&[SEPARATOR], decoded.origin(start + length - 1..start + length));
        }
        start += length + 1;
    }
}

/// Returns the six bits of a character of base64 or base64url; `None` for any other character.
pub(super) fn sextet(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

/// Decodes the beginning of a text, up to the first character that is not base64.
pub(super) fn decode_prefix(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let (mut bits, mut bit_count) = (0_u32, 0);
    for sextet in text.iter().map_while(|byte| sextet(*byte)) {
        bits = bits << 6 | u32::from(sextet);
        bit_count += 6;
        if bit_count >= 8 {
            bit_count -= 8;
            let [.., byte] = (bits >> bit_count).to_be_bytes();
            decoded.push(byte);
        }
    }
    decoded
}
