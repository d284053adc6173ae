//! The parts of a response that an error message quotes: its message or its whole body, and its codes and ids.
//!
//! A text that may contain a token is not quoted.

use serde_json::Value;

use super::json;
use super::token_response::TokenResponse;
use crate::error::ErrorNumber;
use crate::http::{Response, is_success};

/// The most characters of a code or an id of the service.
const MAX_ID_CHARS: usize = 100;
/// The name of the token field, in lower case and without separators.
const TOKEN_FIELD: &str = "accesstoken";
/// The text that the name of every token field contains.
const TOKEN_NAME: &str = "token";

/// The codes and ids of an error response, redacted.
#[derive(Default)]
pub(super) struct QuotedError {
    pub(super) code: Option<String>,
    pub(super) number: Option<ErrorNumber>,
    numbers: Option<String>,
    pub(super) correlation_id: Option<String>,
    trace_id: Option<String>,
    timestamp: Option<String>,
}

impl QuotedError {
    /// Reads the codes and ids of a response and redacts them.
    pub(super) fn new(
        token_response: Option<&TokenResponse>,
        redact: &impl Fn(&str, usize) -> String,
    ) -> Self {
        let Some(token_response) = token_response else {
            return Self::default();
        };
        let redact = |text: &str| redact(text, MAX_ID_CHARS);
        let numbers = token_response.error_numbers();
        let all: Vec<String> = numbers.iter().map(ErrorNumber::to_string).collect();
        Self {
            code: token_response
                .error_code()
                .map(redact)
                .filter(|code| is_error_code(code)),
            number: numbers.into_iter().next().map(|number| match number {
                ErrorNumber::Text(text) => ErrorNumber::Text(redact(&text)),
                number @ ErrorNumber::Number(_) => number,
            }),
            numbers: (!all.is_empty()).then(|| redact(&all.join(" "))),
            correlation_id: token_response.correlation_id().map(redact),
            trace_id: token_response.trace_id().map(redact),
            timestamp: token_response.timestamp().map(|timestamp| redact(&timestamp)),
        }
    }

    /// Returns the present parts with their names, in the order of a message.
    pub(super) fn ids(&self) -> Vec<(&'static str, &str)> {
        let ids = [
            ("error", &self.code),
            ("error codes", &self.numbers),
            ("correlation id", &self.correlation_id),
            ("trace id", &self.trace_id),
            ("timestamp", &self.timestamp),
        ];
        let present = ids
            .into_iter()
            .filter_map(|(name, id)| Some((name, id.as_deref()?)));
        present.collect()
    }
}

/// Returns the text of a body that is not JSON. A successful response is not quoted, because it may be a token.
pub(super) fn quotable_body<'a>(response: &Response, text: &'a str) -> Option<&'a str> {
    // In malformed JSON a token cannot be told from other text.
    let quotable = !is_success(response.status) && !text.trim().is_empty() && !names_token(text);
    quotable.then_some(text)
}

/// Returns the text of a JSON object without a known field, unless the object is empty or may contain a token.
pub(super) fn quotable_object<'a>(
    quoted: &QuotedError,
    response: &Response,
    text: &'a str,
) -> Option<&'a str> {
    let text = quotable_body(response, text).filter(|_| quoted.code.is_none())?;
    let object: Value = json::parse(text.as_bytes())?;
    let is_empty = object.as_object().is_none_or(serde_json::Map::is_empty);
    (!is_empty && !may_contain_token(&object)).then_some(text)
}

/// Returns whether the name of a field at any depth suggests a token. In a parsed value, escapes cannot hide a name.
fn may_contain_token(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let is_token = value.is_string() && name.to_ascii_lowercase().contains(TOKEN_NAME);
            is_token || may_contain_token(value)
        }),
        Value::Array(items) => items.iter().any(may_contain_token),
        _ => false,
    }
}

/// Returns whether a text contains the name of the token field, in any case and with any separators.
fn names_token(text: &str) -> bool {
    let text = text.replace(['_', '-'], "").to_ascii_lowercase();
    text.contains(TOKEN_FIELD)
}

/// Returns whether a text can be an `errorCode`.
fn is_error_code(code: &str) -> bool {
    !code.is_empty()
        && code
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}
