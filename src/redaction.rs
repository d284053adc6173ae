//! Words of others, made fit to be read: without control characters, without any secret that was
//! sent to them, without anything that looks like a token.
//!
//! The last door before a message: whoever quotes an endpoint or a caller's client comes by here.

use crate::token::Secret;

const REDACTED: &str = "<redacted>";
/// How every JWT begins: `{"` in base64url.
const JWT_START: &str = "eyJ";

/// One line of at most so many characters, without control characters, secrets and tokens.
pub fn clean(text: &str, secrets: &[Secret], most: usize) -> String {
    let visible = |c: &char| c.is_whitespace() || !c.is_control();
    let mut line = on_one_line(&text.chars().filter(visible).collect::<String>());
    for secret in secrets {
        line = without(&line, secret.expose());
    }
    line = without_tokens(&line);
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text without a secret, in whatever case it was echoed.
fn without(text: &str, secret: &str) -> String {
    let (lower, secret) = (
        text.to_ascii_lowercase(),
        on_one_line(secret).to_ascii_lowercase(),
    );
    if secret.is_empty() {
        return text.to_owned();
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut from = 0;
    for (start, found) in lower.match_indices(&secret) {
        cleaned.push_str(&text[from..start]);
        cleaned.push_str(REDACTED);
        from = start + found.len();
    }
    cleaned.push_str(&text[from..]);
    cleaned
}

/// The text without anything that looks like a JWT.
fn without_tokens(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(JWT_START) {
        let (before, token) = rest.split_at(start);
        let end = token
            .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.=".contains(c)))
            .unwrap_or(token.len());
        cleaned.push_str(before);
        cleaned.push_str(REDACTED);
        rest = &token[end..];
    }
    cleaned.push_str(rest);
    cleaned
}
