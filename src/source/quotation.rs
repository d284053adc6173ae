//! What a message quotes of a response: the sentence, or the body itself, and the parts beside it.
//!
//! Nothing that could hold a token is quoted.

use serde_json::Value;

use super::json;
use super::token_response::TokenResponse;
use crate::error::ErrorNumber;
use crate::http::{Response, is_success};

/// The most characters of a code or an id of the service.
const MAX_ID_CHARS: usize = 100;
/// The field of a response that holds the token, without what separates its words.
const TOKEN_FIELD: &str = "accesstoken";
/// What the name of every field that holds a token has in it.
const TOKEN_NAME: &str = "token";

/// What a service tells beside its sentence, fit to be read.
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
    /// Reads it out of a body.
    pub(super) fn new(
        token_response: Option<&TokenResponse>,
        clean: &impl Fn(&str, usize) -> String,
    ) -> Self {
        let Some(token_response) = token_response else {
            return Self::default();
        };
        let clean = |text: &str| clean(text, MAX_ID_CHARS);
        let numbers = token_response.error_numbers();
        let all: Vec<String> = numbers.iter().map(ErrorNumber::to_string).collect();
        Self {
            code: token_response
                .error_code()
                .map(clean)
                .filter(|code| is_error_code(code)),
            number: numbers.into_iter().next().map(|number| match number {
                ErrorNumber::Text(text) => ErrorNumber::Text(clean(&text)),
                number @ ErrorNumber::Number(_) => number,
            }),
            numbers: (!all.is_empty()).then(|| clean(&all.join(" "))),
            correlation_id: token_response.correlation_id().map(clean),
            trace_id: token_response.trace_id().map(clean),
            timestamp: token_response.timestamp().map(|timestamp| clean(&timestamp)),
        }
    }

    /// Its parts by their names, in the order of a message.
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

/// The text of a body that is not JSON. A success is not quoted: it could be a token.
pub(super) fn quotable_body<'a>(response: &Response, text: &'a str) -> Option<&'a str> {
    // A broken answer could hold a token that nothing tells from other words.
    let quotable = !is_success(response.status) && !text.trim().is_empty() && !names_token(text);
    quotable.then_some(text)
}

/// The text of a JSON object of which nothing else is told, unless it is empty or could hold a token.
pub(super) fn quotable_object<'a>(told: &QuotedError, response: &Response, text: &'a str) -> Option<&'a str> {
    let text = quotable_body(response, text).filter(|_| told.code.is_none())?;
    let object: Value = json::parse(text.as_bytes())?;
    let is_empty = object.as_object().is_none_or(serde_json::Map::is_empty);
    (!is_empty && !holds_token(&object)).then_some(text)
}

/// Whether a field anywhere in it may hold a token, by its name. Unlike in the text, no escape hides a name here.
fn holds_token(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let may_hold = value.is_string() && name.to_ascii_lowercase().contains(TOKEN_NAME);
            may_hold || holds_token(value)
        }),
        Value::Array(items) => items.iter().any(holds_token),
        _ => false,
    }
}

/// Whether a text has the field that holds the token, or one that is called like it.
fn names_token(text: &str) -> bool {
    let text = text.replace(['_', '-'], "").to_ascii_lowercase();
    text.contains(TOKEN_FIELD)
}

/// A code that can be an `errorCode`.
fn is_error_code(code: &str) -> bool {
    !code.is_empty()
        && code
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}
