//! A lenient JSON parser for endpoints that send slightly invalid JSON.
//!
//! RFC 8259 does not allow NaN and infinity, and lets a parser reject lone surrogates and numbers out of its range. Such a
//! value in an irrelevant field must not prevent the use of the token beside it. A text that the strict parser rejects is
//! therefore repaired value by value and parsed again. The repair never changes the structure.

use std::fmt::Write as _;

use serde::de::DeserializeOwned;

/// Replaces a number that is invalid in JSON. It is not `null`, because `"error": NaN` must still count as an error.
const INVALID_NUMBER: &str = "false";
const REPLACEMENT: &str = "\\ufffd";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Parses a text; if that fails, parses the repaired text.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    serde_json::from_slice(text)
        .ok()
        .or_else(|| serde_json::from_str(&repair(text)).ok())
}

/// Replaces the values that a strict parser rejects. Valid JSON is unchanged.
fn repair(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut rest = &*text;
    let mut repaired = String::with_capacity(text.len());
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            repaired.push(first);
            rest = copy_string(&rest[1..], &mut repaired);
            continue;
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length.max(first.len_utf8()));
        // Rust parses `NaN`, `inf` and `Infinity` in any case, which covers the spellings of JavaScript, Python and C.
        let is_finite = word.parse::<f64>().map_or(true, f64::is_finite);
        repaired.push_str(if is_finite { word } else { INVALID_NUMBER });
        rest = after;
    }
    repaired
}

/// Copies and repairs a string, from after its opening quotation mark to its closing one. Returns the rest of the text.
fn copy_string<'a>(mut rest: &'a str, repaired: &mut String) -> &'a str {
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        match first {
            '\\' => {
                let (escape, escape_length) = repair_escape(rest);
                repaired.push_str(escape);
                length = escape_length;
            }
            '\0'..'\u{20}' => {
                let _ = write!(repaired, "\\u{:04x}", u32::from(first));
            }
            _ => repaired.push(first),
        }
        rest = &rest[length..];
        if first == '"' {
            break;
        }
    }
    rest
}

/// Returns the repaired form of the escape that a text starts with, and the length of the original.
fn repair_escape(text: &str) -> (&str, usize) {
    let pair = || Some((code_unit(text)?, code_unit(text.get(6..)?)?));
    match code_unit(text) {
        None => {
            let length = 1 + text[1..].chars().next().map_or(0, char::len_utf8);
            (&text[..length], length)
        }
        Some(0xd800..=0xdbff) if pair().is_some_and(|(_, low)| (0xdc00..=0xdfff).contains(&low)) => {
            (&text[..12], 12)
        }
        Some(0xd800..=0xdfff) => (REPLACEMENT, 6),
        Some(_) => (&text[..6], 6),
    }
}

/// Returns the code unit of the `\uXXXX` that a text starts with.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits
        .bytes()
        .all(|digit| digit.is_ascii_hexdigit())
        .then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn parse(text: &[u8]) -> Option<Value> {
        super::parse(text)
    }

    #[test]
    fn invalid_json_values_do_not_affect_others() {
        for (value, expected) in [
            ("NaN", json!(false)),
            ("-NaN", json!(false)),
            ("nan", json!(false)),
            ("Infinity", json!(false)),
            ("-Infinity", json!(false)),
            ("1e999", json!(false)),
            ("-1.5E+400", json!(false)),
            ("[1, NaN, {\"x\": 1e999}]", json!([1, false, {"x": false}])),
            ("\"NaN, 1e999\"", json!("NaN, 1e999")),
            (r#""\ud800""#, json!("\u{fffd}")),
            (r#""\udc00 x""#, json!("\u{fffd} x")),
            (r#""\ud800\ud83d\udca5""#, json!("\u{fffd}\u{1f4a5}")),
            (r#""\ud800\u0041""#, json!("\u{fffd}A")),
            (r#""\\ud800""#, json!("\\ud800")),
            (r#""\"NaN""#, json!("\"NaN")),
            ("\"a\nb\u{1}\"", json!("a\nb\u{1}")),
        ] {
            // The lone surrogate in a key makes a strict parser reject every row.
            let text = format!(r#"{{"\udfff":NaN,"x":{value},"token":"t"}}"#);
            let read = parse(text.as_bytes()).expect("an object");
            assert_eq!((&read["x"], &read["token"]), (&expected, &json!("t")), "{text}");
        }
        let latin = parse(b"{\"x\":\"caf\xe9\",\"t\":1}").expect("an object");
        assert_eq!(latin, json!({"x": "caf\u{fffd}", "t": 1}));
    }

    #[test]
    fn malformed_json_structure_is_not_repaired() {
        for text in [
            "",
            "{",
            "{NaN}",
            "{NaN:1}",
            "{\"a\":}",
            "{\"a\":\"b}",
            "{\"a\":\"\\",
            "{\"a\":\"\\u12",
            "{\"a\":\"\\u12é\"}",
            "{\"a\":\"\\u+123\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":NaN5}",
            "{\"a\":1e}",
            "{'a':1}",
            "{\"a\":1,}",
            "\u{0}",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse("[".repeat(100_000).as_bytes()), None);
    }

    #[test]
    fn duplicate_field_last_wins_after_a_repair() {
        assert_eq!(
            parse(br#"{"a":1,"a":2,"b":NaN}"#),
            Some(json!({"a": 2, "b": false}))
        );
    }
}
