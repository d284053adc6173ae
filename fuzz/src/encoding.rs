//! Encodings of a secret, chosen per character by a recipe.

use std::fmt::Write as _;

/// The encodings of one character. Two entries leave it unchanged, so that it stays unencoded more often.
const ENCODERS: [fn(char) -> String; 16] = [
    |c| c.to_string(),
    |c| c.to_string(),
    |c| format!("%{:02X}", c as u32),
    |c| format!("%{:02x}", c as u32),
    |c| format!("%25{:02X}", c as u32),
    |c| format!("%u{:04x}", c as u32),
    |c| format!("&#{};", c as u32),
    |c| format!("&#00{};", c as u32),
    |c| format!("&#x{:x};", c as u32),
    |c| format!("&amp;#X{:X};", c as u32),
    |c| format!("\\u{:04X}", c as u32),
    |c| format!("\\\\u{:04x}", c as u32),
    |c| format!("\\x{:02x}", c as u32),
    |c| {
        if c.is_ascii_alphanumeric() {
            c.to_string()
        } else {
            format!("\\{c}")
        }
    },
    |c| match c {
        '+' => "&plus;".to_owned(),
        '/' => "&sol;".to_owned(),
        '=' => "&equals;".to_owned(),
        _ => c.to_string(),
    },
    |c| format!("{c} "),
];

/// Encodes a secret: each byte of the recipe selects the encoding of a character, its length that of the whole text.
pub fn encode(secret: &str, recipe: &[u8]) -> String {
    let steps = recipe.iter().copied().chain([0]).cycle();
    let characters = secret.chars().zip(steps);
    let encoded: String = characters
        .map(|(c, step)| ENCODERS[usize::from(step) % ENCODERS.len()](c))
        .collect();
    match recipe.len() % 6 {
        0 => base64(&encoded),
        1 => base64(&format!("a{encoded}")),
        2 => percent(&encoded),
        3 => format!("{encoded:?}"),
        _ => encoded,
    }
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

fn base64(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: Vec<u8> = text
        .bytes()
        .flat_map(|byte| format!("{byte:08b}").into_bytes())
        .collect();
    let sextets = bits.chunks(6);
    sextets
        .map(|sextet| {
            sextet
                .iter()
                .fold(0, |value, bit| value << 1 | usize::from(bit - b'0'))
                << (6 - sextet.len())
        })
        .map(|value| char::from(ALPHABET[value]))
        .collect()
}
