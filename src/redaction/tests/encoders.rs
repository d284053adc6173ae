//! Generates encodings by combining what encoders do: how a character is encoded, which characters are encoded, and how
//! the whole result is encoded again.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// Encodes one character.
type CharacterEncoder = (&'static str, fn(char) -> String);
/// Returns whether the character at an index is encoded.
type Choice = (&'static str, fn(usize, char) -> bool);
/// Encodes a whole text.
type TextEncoder = (&'static str, fn(&str) -> String);

pub(super) const CHARACTER_ENCODERS: [CharacterEncoder; 20] = [
    ("%2B", |c| format!("%{:02X}", c as u32)),
    ("%2b", |c| format!("%{:02x}", c as u32)),
    ("%252B", |c| format!("%25{:02X}", c as u32)),
    ("%25252b", |c| format!("%2525{:02x}", c as u32)),
    ("%u002B", |c| format!("%u{:04X}", c as u32)),
    ("&#43;", |c| format!("&#{};", c as u32)),
    ("&#00043;", |c| format!("&#{:05};", c as u32)),
    ("&#43", |c| format!("&#{}", c as u32)),
    ("&#x2B;", |c| format!("&#x{:X};", c as u32)),
    ("&#X2b;", |c| format!("&#X{:x};", c as u32)),
    ("&#x0002B;", |c| format!("&#x{:05X};", c as u32)),
    ("&#x2B", |c| format!("&#x{:X}", c as u32)),
    ("&amp;#43;", |c| format!("&amp;#{};", c as u32)),
    ("&plus;", named),
    ("&PLUS", |c| named(c).to_uppercase().replace(';', "")),
    (r"\u002B", |c| format!("\\u{:04X}", c as u32)),
    (r"\\\\u002b", |c| format!("\\\\\\\\u{:04x}", c as u32)),
    (r"\u{2b}", |c| format!("\\u{{{:x}}}", c as u32)),
    (r"\x2B", |c| format!("\\x{:02X}", c as u32)),
    (r"\+", |c| {
        if c.is_ascii_alphanumeric() {
            c.to_string()
        } else {
            format!("\\{c}")
        }
    }),
];

const PERCENT_SIGN: &AsciiSet = &CONTROLS.add(b'%');

/// Encodes a character as a named entity of HTML, or a numeric one if it has no name.
fn named(c: char) -> String {
    match c {
        '+' => "&plus;".into(),
        '/' => "&sol;".into(),
        '=' => "&equals;".into(),
        '.' => "&period;".into(),
        '-' => "&hyphen;".into(),
        '_' => "&lowbar;".into(),
        '&' => "&amp;".into(),
        '"' => "&quot;".into(),
        _ => format!("&#{};", c as u32),
    }
}

pub(super) const CHOICES: [Choice; 9] = [
    ("every character", |_, _| true),
    ("what is not a letter or a digit", |_, c| {
        !c.is_ascii_alphanumeric()
    }),
    ("plus signs and hyphens", |_, c| "+-".contains(c)),
    ("slashes and full stops", |_, c| "/.".contains(c)),
    ("equals signs and underscores", |_, c| "=_".contains(c)),
    ("every second character", |index, _| index % 2 == 1),
    ("every fifth character", |index, _| index % 5 == 0),
    ("letters", |_, c| c.is_ascii_alphabetic()),
    ("the first character", |index, _| index == 0),
];

pub(super) const TEXT_ENCODERS: [TextEncoder; 7] = [
    ("nothing", str::to_owned),
    ("percent signs", |text| {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }),
    ("percent signs, for percent signs only", |text| {
        utf8_percent_encode(text, PERCENT_SIGN).to_string()
    }),
    ("HTML", |text| {
        text.replace('&', "&amp;")
            .replace('"', "&#34;")
            .replace('+', "&#43;")
    }),
    ("JSON", in_json),
    ("JSON in JSON, with slashes escaped", |text| {
        in_json(&in_json(&text.replace('/', "\\/")))
    }),
    ("blanks", |text| {
        text.chars()
            .flat_map(|c| [c, ' '])
            .collect::<String>()
            .trim()
            .to_owned()
    }),
];

pub(super) const BASE64_ENCODERS: [TextEncoder; 4] = [
    ("base64", |text| STANDARD.encode(text)),
    ("base64url, after a user's name", |text| {
        URL_SAFE_NO_PAD.encode(format!("user:{text}:end"))
    }),
    ("base64 in lines", |text| {
        in_lines(&STANDARD.encode(format!("ab{text}")))
    }),
    ("base64 of base64, with percent signs", |text| {
        utf8_percent_encode(&STANDARD.encode(STANDARD.encode(text)), NON_ALPHANUMERIC).to_string()
    }),
];

fn in_json(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

fn in_lines(text: &str) -> String {
    let bytes = text.as_bytes().chunks(20);
    let lines = bytes.map(|line| String::from_utf8_lossy(line).into_owned());
    lines.collect::<Vec<_>>().join("\r\n")
}

/// Returns the name and the result of every character encoder with every choice, within every text encoder of a list.
pub(super) fn encodings(text: &str, encoders: &[TextEncoder]) -> Vec<(String, String)> {
    let mut encodings = Vec::new();
    for (encoder_name, encode) in CHARACTER_ENCODERS {
        for (choice_name, is_chosen) in CHOICES {
            let encoded: String = text
                .chars()
                .enumerate()
                .map(|(index, c)| {
                    if is_chosen(index, c) {
                        encode(c)
                    } else {
                        c.to_string()
                    }
                })
                .collect();
            for (outer_name, encode_text) in encoders {
                let name = format!("{choice_name} as {encoder_name}, in {outer_name}");
                encodings.push((name, encode_text(&encoded)));
            }
        }
    }
    encodings
}

/// Encodes each character with a pseudorandom encoder, or with none.
pub(super) fn mix_encodings(text: &str, seed: u32) -> String {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut random_below = |limit: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % limit
    };
    text.chars()
        .map(|c| {
            let Some((_, encode)) = CHARACTER_ENCODERS.get(random_below(CHARACTER_ENCODERS.len() + 4)) else {
                return c.to_string();
            };
            let encoded = encode(c);
            match random_below(6) {
                0 => utf8_percent_encode(&encoded, NON_ALPHANUMERIC).to_string(),
                1 => in_json(&encoded),
                2 => format!("{encoded}\r\n"),
                _ => encoded,
            }
        })
        .collect()
}
