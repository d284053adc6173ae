//! Finds JWTs in a view, also those that this package has never seen.

use std::ops::Range;

use super::base64_runs::{decode_prefix, sextet};
use super::view::View;

/// How nearly every JWT begins: `{"` in base64url.
const START: &[u8] = b"eyJ";
/// The first name of a header that is printed with line ends and indentation is within so many characters.
const HEADER_CHARACTERS: usize = 128;
/// Ordinary words have this many letters and more.
const MIN_WORD: usize = 3;
/// A token that somebody spaced out has pieces of up to this length, which can look like words.
const SHORT_PIECE: usize = 8;
/// So many words in a row are not a token that was spaced out.
const WORDS_OF_A_SENTENCE: usize = 3;

/// The ranges of the original text in which there is something that looks like a JWT. The view has no blanks, but knows
/// where they were.
pub(super) fn token_ranges(view: &View) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(next) = view.bytes()[at..].iter().position(|byte| *byte == START[0]) {
        at += next;
        if is_token_start(view, at) {
            let end = token_end(view, at);
            ranges.push(view.source(at..end));
            at = end;
        } else {
            at += 1;
        }
    }
    ranges
}

fn is_token_start(view: &View, at: usize) -> bool {
    let text = &view.bytes()[at..];
    let is_whole = !(at + 1..at + START.len()).any(|index| index < view.len() && view.has_gap_before(index));
    (is_whole && text.starts_with(START)) || is_header_start(text)
}

/// Whether a text is the base64 of a JSON object's beginning, up to the colon behind its first name.
fn is_header_start(text: &[u8]) -> bool {
    // An opening brace, then a quotation mark, a blank or a line end.
    if !matches!(text, [b'e', b'y' | b'w', ..]) {
        return false;
    }
    let decoded = decode_prefix(&text[..text.len().min(HEADER_CHARACTERS)]);
    let Some(name) = decoded
        .strip_prefix(b"{")
        .and_then(|object| object.trim_ascii_start().strip_prefix(b"\""))
    else {
        return false;
    };
    let length = name
        .iter()
        .take_while(|byte| byte.is_ascii_graphic() && **byte != b'"')
        .count();
    length > 0
        && name[length..]
            .strip_prefix(b"\"")
            .is_some_and(|rest| rest.trim_ascii_start().starts_with(b":"))
}

fn is_token_character(byte: u8) -> bool {
    sextet(byte).is_some() || b".=~".contains(&byte)
}

/// The end of a token: the first character that no token has, or the gap behind which ordinary words are.
fn token_end(view: &View, start: usize) -> usize {
    let mut end = piece_end(view, start);
    let needed = if end - start <= SHORT_PIECE {
        WORDS_OF_A_SENTENCE
    } else {
        1
    };
    while end < view.len() && is_token_character(view.bytes()[end]) {
        if has_words_at(view, end, needed) {
            break;
        }
        end = piece_end(view, end);
    }
    end
}

/// The end of the characters without a gap between them.
fn piece_end(view: &View, start: usize) -> usize {
    (start + 1..view.len())
        .find(|at| view.has_gap_before(*at) || !is_token_character(view.bytes()[*at]))
        .unwrap_or(view.len())
}

/// Whether the next pieces are words: so many of them, or all that there are.
fn has_words_at(view: &View, mut at: usize, needed: usize) -> bool {
    for _ in 0..needed {
        if at >= view.len() || !is_token_character(view.bytes()[at]) {
            return true;
        }
        let end = piece_end(view, at);
        if !is_word(&view.bytes()[at..end], needed > 1) {
            return false;
        }
        at = end;
    }
    true
}

/// Whether a piece is an ordinary word, or several with full stops or hyphens between them.
fn is_word(piece: &[u8], is_spaced: bool) -> bool {
    if is_spaced && piece.len() < MIN_WORD {
        return false;
    }
    let is_lower = |part: &[u8]| {
        let rest = part
            .strip_prefix(&[part.first().copied().unwrap_or_default()])
            .unwrap_or(part);
        part.first().is_none_or(u8::is_ascii_alphabetic) && rest.iter().all(u8::is_ascii_lowercase)
    };
    piece.iter().any(u8::is_ascii_alphabetic) && piece.split(|byte| b".-".contains(byte)).all(is_lower)
}
