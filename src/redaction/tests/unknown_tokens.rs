//! A token that this package did not receive or send is removed whole.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::encoders::{TEXT_ENCODERS, encodings};
use super::*;

fn assert_removed(token: &str) {
    for (before, after) in [
        ("got ", " from you"),
        ("", ""),
        ("token=", "&x=1"),
        ("(", ") is invalid."),
    ] {
        let text = format!("{before}{token}{after}");
        assert_eq!(redact(&text, &[]), format!("{before}<redacted>{after}"), "{text}");
    }
}

#[test]
fn token_is_removed() {
    assert_removed(TOKEN);
    assert_removed("eyJhbGciOiJub25lIn0.");
    assert_removed("eyJ");
}

#[test]
fn token_in_every_encoding_is_removed() {
    for (name, encoded) in encodings(TOKEN, &TEXT_ENCODERS) {
        let redacted = redact(&format!("got '{encoded}' from you"), &[]);
        assert_eq!(redacted, "got '<redacted>' from you", "{name}: {encoded}");
    }
}

#[test]
fn token_broken_by_blanks_is_removed_whole() {
    for separator in [
        " ",
        "\n",
        "\r\n",
        "\t",
        " \r\n ",
        "\u{a0}",
        "%20",
        "&#13;&#10;",
        "\\r\\n",
    ] {
        for at in 1..TOKEN.len() {
            let (head, tail) = TOKEN.split_at(at);
            let text = format!("got '{head}{separator}{tail}' from you");
            assert_eq!(redact(&text, &[]), "got '<redacted>' from you", "{text}");
        }
    }
}

#[test]
fn spaced_out_token_is_removed_whole() {
    for group in 1..80 {
        let groups: Vec<_> = TOKEN
            .as_bytes()
            .chunks(group)
            .map(String::from_utf8_lossy)
            .collect();
        for separator in [" ", "\r\n", "   "] {
            let text = format!("got '{}'.", groups.join(separator));
            assert_eq!(redact(&text, &[]), "got '<redacted>'.", "{text}");
        }
    }
}

#[test]
fn token_with_encoded_full_stops_is_removed_whole() {
    for stop in [
        "%2E", "%2e", "%252E", "&#46;", "&period;", "\\u002e", " . ", ".\r\n",
    ] {
        let text = TOKEN.replace('.', stop);
        assert_eq!(
            redact(&format!("got '{text}' from you"), &[]),
            "got '<redacted>' from you",
            "{text}"
        );
    }
}

#[test]
fn token_with_a_printed_header_is_removed_whole() {
    for header in [
        "{\n  \"alg\": \"none\"\n}",
        "{\r\n  \"typ\": \"JWT\",\r\n  \"alg\": \"RS256\"\r\n}",
        "{ \"alg\": \"none\" }",
        "{\t\"alg\" : \"none\"}",
        "{\n\n\n        \"alg\": \"none\"}",
    ] {
        let token = format!(
            "{}.eyJzdWIiOiJ4In0.c2lnLW5hdHVyZQ",
            URL_SAFE_NO_PAD.encode(header)
        );
        assert_removed(&token);
        let spaced: String = token.chars().flat_map(|c| [' ', c]).collect();
        assert_eq!(
            redact(&format!("got{spaced}."), &[]),
            "got <redacted>",
            "{header}"
        );
    }
}

#[test]
fn text_after_a_token_is_unchanged() {
    for words in [
        "is not valid.",
        "expired, sign in again",
        "is not for this audience; the trace id is 5",
        "was sent to https://vault.azure.net",
    ] {
        assert_eq!(
            redact(&format!("{TOKEN} {words}"), &[]),
            format!("<redacted> {words}")
        );
    }
}
