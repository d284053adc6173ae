//! Finds JWTs in a view, including those that this package did not receive or send.

use std::ops::Range;

use super::base64_runs::{decode_prefix, sextet};
use super::view::View;

/// The start of nearly every JWT: `{"` in base64url.
const START: &[u8] = b"eyJ";
/// How many characters are decoded to find the first name of a header, which may follow line ends and indentation.
const HEADER_CHARACTERS: usize = 128;
/// The minimum length of an ordinary word.
const MIN_WORD: usize = 3;
/// The longest piece of a token that is split by spaces into pieces that can look like words.
const SHORT_PIECE: usize = 8;
/// This many words in a row are a sentence and not the pieces of a token.
const WORDS_OF_A_SENTENCE: usize = 3;

/// Returns the ranges of the original text that look like a JWT. The view has no blanks, but records where they were.
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
    let has_no_gap =
        !(at + 1..at + START.len()).any(|index| index < view.len() && view.has_gap_before(index));
    (has_no_gap && text.starts_with(START)) || is_header_start(text)
}

/// Returns whether a text begins with base64 of the start of a JSON object, up to the colon after its first name.
fn is_header_start(text: &[u8]) -> bool {
    // Base64 of an opening brace followed by a quotation mark, a space or a line end.
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

/// Returns the end of a token: the first character that is not allowed in a token, or the gap before ordinary words.
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

/// Returns the end of a piece, which is a run of token characters without gaps.
fn piece_end(view: &View, start: usize) -> usize {
    (start + 1..view.len())
        .find(|at| view.has_gap_before(*at) || !is_token_character(view.bytes()[*at]))
        .unwrap_or(view.len())
}

/// Returns whether the next `needed` pieces are words, or all pieces if there are fewer.
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

/// Returns whether a piece is an ordinary word, or several that are separated by full stops or hyphens.
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
