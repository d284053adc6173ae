//! Decodes the escapes of URLs, HTML and JSON.

use super::view::View;

/// The decoders, by the first byte of an escape.
const DECODERS: [(u8, Decoder); 3] = [(b'%', percent), (b'&', entity), (b'\\', backslash)];

/// Decodes the escape at the beginning of a text; `None` if there is none.
type Decoder = fn(&[u8], Reading) -> Option<Escape>;

/// How an ambiguous escape is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// As standardized: an entity ends with a semicolon, and each level of nesting is decoded in a step of its own.
    Strict,
    /// As in a browser: the semicolon of an entity is optional, and all following digits belong to its number. Decodes
    /// all levels of nesting at once.
    Greedy,
    /// As [`Greedy`](Self::Greedy), but without a semicolon only the digits of a printable ASCII character belong to the
    /// number.
    Ascii,
}

/// A decoded escape.
struct Escape {
    /// Its length in bytes.
    length: usize,
    meaning: Meaning,
}

/// The decoded value of an escape.
enum Meaning {
    /// One byte of UTF-8.
    Byte(u8),
    Character(char),
}

const HTML_NAMES: [(&str, char); 42] = [
    ("amp", '&'),
    ("apos", '\''),
    ("ast", '*'),
    ("bsol", '\\'),
    ("colon", ':'),
    ("comma", ','),
    ("commat", '@'),
    ("dollar", '$'),
    ("equals", '='),
    ("excl", '!'),
    ("grave", '`'),
    ("gt", '>'),
    ("hat", '^'),
    ("hyphen", '-'),
    ("dash", '-'),
    ("lbrace", '{'),
    ("lbrack", '['),
    ("lcub", '{'),
    ("lowbar", '_'),
    ("lpar", '('),
    ("lsqb", '['),
    ("lt", '<'),
    ("midast", '*'),
    ("nbsp", ' '),
    ("newline", '\n'),
    ("num", '#'),
    ("percnt", '%'),
    ("period", '.'),
    ("plus", '+'),
    ("quest", '?'),
    ("quot", '"'),
    ("rbrace", '}'),
    ("rbrack", ']'),
    ("rcub", '}'),
    ("rpar", ')'),
    ("rsqb", ']'),
    ("semi", ';'),
    ("sol", '/'),
    ("tab", '\t'),
    ("tilde", '~'),
    ("verbar", '|'),
    ("vert", '|'),
];
/// The most backslashes that are decoded at once: those of six levels of JSON.
const MAX_BACKSLASHES: usize = 64;
const MAX_PRINTABLE_ASCII: u32 = 0x7e;

/// Decodes every escape of a view once; `None` if it has none.
pub(super) fn decode_escapes(view: &View, reading: Reading) -> Option<View> {
    let bytes = view.bytes();
    let mut decoded = View::with_capacity(view.len());
    let mut kept_from = 0;
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|byte| is_escape_start(*byte)) {
        at += next;
        let Some(Escape { length, meaning }) = escape(&bytes[at..], reading) else {
            at += 1;
            continue;
        };
        decoded.append(view, kept_from..at);
        let origin = view.origin(at..at + length);
        match meaning {
            Meaning::Byte(byte) => decoded.push(&[byte], origin),
            Meaning::Character(c) => decoded.push(c.encode_utf8(&mut [0; 4]).as_bytes(), origin),
        }
        at += length;
        kept_from = at;
    }
    if kept_from == 0 {
        return None;
    }
    decoded.append(view, kept_from..bytes.len());
    Some(decoded)
}

/// Returns whether a view may contain an escape.
pub(super) fn has_escapes(view: &View) -> bool {
    view.bytes().iter().any(|byte| is_escape_start(*byte))
}

fn is_escape_start(byte: u8) -> bool {
    DECODERS.iter().any(|(start, _)| *start == byte)
}

fn escape(text: &[u8], reading: Reading) -> Option<Escape> {
    let (_, decoder) = DECODERS.iter().find(|(start, _)| text.first() == Some(start))?;
    decoder(text, reading)
}

/// Decodes `%2B` and `%u002B`; and `%252B`, `%25252B`, … at once unless the reading is strict.
fn percent(text: &[u8], reading: Reading) -> Option<Escape> {
    let mut start = 1;
    while reading != Reading::Strict
        && text[start..].starts_with(b"25")
        && percent_digits(&text[start + 2..]).is_some()
    {
        start += 2;
    }
    percent_digits(&text[start..]).map(|digits| digits.after(start))
}

fn percent_digits(text: &[u8]) -> Option<Escape> {
    if let Some(b'u' | b'U') = text.first() {
        return Some(Escape::of_code_point(5, hexadecimal(text.get(1..5)?)?));
    }
    let byte = u8::try_from(hexadecimal(text.get(..2)?)?).ok()?;
    Some(Escape {
        length: 2,
        meaning: Meaning::Byte(byte),
    })
}

/// Decodes `&#43;`, `&#x2B;` and `&plus;`; and `&amp;#43;`, `&amp;amp;#43;`, … at once unless the reading is strict.
fn entity(text: &[u8], reading: Reading) -> Option<Escape> {
    let mut start = 1;
    while reading != Reading::Strict
        && let Some(ampersand) = named_entity(&text[start..], reading)
        && matches!(ampersand.meaning, Meaning::Character('&'))
        && entity_body(&text[start + ampersand.length..], reading).is_some()
    {
        start += ampersand.length;
    }
    entity_body(&text[start..], reading).map(|body| body.after(start))
}

fn entity_body(text: &[u8], reading: Reading) -> Option<Escape> {
    match text.strip_prefix(b"#") {
        Some(number) => numeric_entity(number, reading).map(|number| number.after(1)),
        None => named_entity(text, reading),
    }
}

/// Decodes `plus;`, with letters of either case.
fn named_entity(text: &[u8], reading: Reading) -> Option<Escape> {
    text.first().filter(|byte| byte.is_ascii_alphabetic())?;
    let known = HTML_NAMES.iter().filter(|(name, _)| {
        text.get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
    });
    let (name, c) = known.max_by_key(|(name, _)| name.len())?;
    Some(Escape {
        length: length_with_semicolon(text, name.len(), reading)?,
        meaning: Meaning::Character(*c),
    })
}

/// Decodes `43;` or `x2B;`, with or without leading zeros.
fn numeric_entity(text: &[u8], reading: Reading) -> Option<Escape> {
    let (prefix, radix) = match text.first()? {
        b'x' | b'X' => (1, 16),
        _ => (0, 10),
    };
    let digits = text[prefix..]
        .iter()
        .map_while(|byte| char::from(*byte).to_digit(radix));
    let has_semicolon = text.get(prefix + digits.clone().count()) == Some(&b';');
    let mut number = 0_u32;
    let mut length = prefix;
    for digit in digits {
        let longer = number.saturating_mul(radix).saturating_add(digit);
        if !has_semicolon && reading == Reading::Ascii && longer > MAX_PRINTABLE_ASCII {
            break;
        }
        number = longer;
        length += 1;
    }
    if length == prefix {
        return None;
    }
    Some(Escape::of_code_point(
        length_with_semicolon(text, length, reading)?,
        number,
    ))
}

/// Returns the length of an entity with its semicolon; `None` if a required one is missing.
fn length_with_semicolon(text: &[u8], length: usize, reading: Reading) -> Option<usize> {
    if text.get(length) == Some(&b';') {
        return Some(length + 1);
    }
    (reading != Reading::Strict).then_some(length)
}

/// Decodes `\u002B`, `\u{2B}`, `\x2B`, `\/`, `\n`, …; also after several backslashes unless the reading is strict, because
/// each level of JSON doubles them.
fn backslash(text: &[u8], reading: Reading) -> Option<Escape> {
    let max = if reading == Reading::Strict {
        1
    } else {
        MAX_BACKSLASHES
    };
    let run = text.iter().take(max);
    let start = run.take_while(|byte| **byte == b'\\').count();
    let escaped = &text[start..];
    let escape = match escaped.first()? {
        b'u' | b'U' => code_point(escaped)?,
        b'x' | b'X' => Escape::of_code_point(3, hexadecimal(escaped.get(1..3)?)?),
        b'b' | b'B' | b'f' | b'F' | b'n' | b'N' | b'r' | b'R' | b't' | b'T' => Escape::of_character(1, ' '),
        // These may begin another escape.
        b'%' | b'&' if start == 1 => return None,
        b'%' | b'&' => return Some(Escape::of_character(start, '\\')),
        byte if byte.is_ascii_punctuation() => Escape::of_character(1, char::from(*byte)),
        _ => return None,
    };
    Some(escape.after(start))
}

/// Decodes `u002B` or `u{2B}`, without the backslash.
fn code_point(text: &[u8]) -> Option<Escape> {
    if text.get(1) != Some(&b'{') {
        return Some(Escape::of_code_point(5, hexadecimal(text.get(1..5)?)?));
    }
    let digits = text[2..]
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    if text.get(2 + digits) != Some(&b'}') {
        return None;
    }
    Some(Escape::of_code_point(
        3 + digits,
        hexadecimal(&text[2..2 + digits])?,
    ))
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        number.checked_mul(16)?.checked_add(digit)
    })
}

impl Escape {
    fn of_character(length: usize, c: char) -> Self {
        Self {
            length,
            meaning: Meaning::Character(c),
        }
    }

    fn of_code_point(length: usize, code_point: u32) -> Self {
        Self::of_character(
            length,
            char::from_u32(code_point).unwrap_or(char::REPLACEMENT_CHARACTER),
        )
    }

    /// Adds the length of a prefix.
    fn after(self, start: usize) -> Self {
        Self {
            length: start + self.length,
            ..self
        }
    }
}
