//! What the body of an error says, in every shape that services have.
//!
//! The shapes are those of IMDS, Azure Arc and Entra (`error`, `error_description`, `error_codes`, …), App Service
//! (`statusCode`, `message`, `correlationId`) and its endpoint of 2017 (`ExceptionMessage`, `ErrorCode`), Cloud Shell and
//! Service Fabric (`error: { code, message }`), Automation (`Message`), `errors: [{ code, message }]`, and problem details
//! ([RFC 9457]). Names are compared without regard to case, since the same service writes them in both.
//!
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457

use std::borrow::Cow;

use serde_json::Value;

use crate::error::ErrorNumber;

/// A part of what a service says about its error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ErrorField {
    /// The code, for programs.
    Code,
    /// The sentence, for people.
    Description,
    /// Half of a sentence: what kind of problem it is.
    Title,
    /// The other half: what happened this time.
    Detail,
    /// The id under which the service remembers the exchange.
    CorrelationId,
    /// The id of Entra's own log.
    TraceId,
    /// Entra's numbers of the error.
    Numbers,
    /// When it happened, by the service's clock.
    Timestamp,
}

/// Where each part stands; of several places of one part the first that holds it counts. A list is searched from its front.
const FIELD_PATHS: [(ErrorField, &[&str]); 26] = [
    (ErrorField::Code, &["error"]),
    (ErrorField::Code, &["error", "code"]),
    (ErrorField::Code, &["errorcode"]),
    (ErrorField::Code, &["errors", "code"]),
    (ErrorField::Code, &["code"]),
    (ErrorField::Description, &["error_description"]),
    // ASP.NET puts a general sentence into `Message` beside it.
    (ErrorField::Description, &["exceptionmessage"]),
    (ErrorField::Description, &["message"]),
    (ErrorField::Description, &["error", "message"]),
    (ErrorField::Description, &["errors", "message"]),
    (ErrorField::Title, &["title"]),
    (ErrorField::Detail, &["detail"]),
    (ErrorField::CorrelationId, &["correlation_id"]),
    (ErrorField::CorrelationId, &["correlationid"]),
    (ErrorField::CorrelationId, &["error", "correlation_id"]),
    (ErrorField::CorrelationId, &["error", "correlationid"]),
    (ErrorField::TraceId, &["trace_id"]),
    (ErrorField::TraceId, &["traceid"]),
    (ErrorField::TraceId, &["error", "trace_id"]),
    (ErrorField::TraceId, &["error", "traceid"]),
    (ErrorField::Numbers, &["error_codes"]),
    (ErrorField::Numbers, &["errorcodes"]),
    (ErrorField::Numbers, &["error", "error_codes"]),
    (ErrorField::Numbers, &["error", "errorcodes"]),
    (ErrorField::Timestamp, &["timestamp"]),
    (ErrorField::Timestamp, &["error", "timestamp"]),
];
/// The field that makes an error of whatever holds it.
const ERROR: &str = "error";

/// The fields of a body that [`FIELD_PATHS`] begin with.
#[derive(Default)]
pub(super) struct ErrorBody(Vec<Field>);

struct Field {
    /// Its name in [`FIELD_PATHS`].
    root: &'static str,
    /// Its name in the body.
    name: String,
    value: Value,
}

impl ErrorBody {
    /// The name in [`FIELD_PATHS`] of a field that is one of theirs.
    pub(super) fn root(name: &str) -> Option<&'static str> {
        let mut roots = FIELD_PATHS.iter().map(|(_, path)| path[0]);
        roots.find(|root| root.eq_ignore_ascii_case(name))
    }

    /// Takes a field in. Of two of one name the last counts, as for `JSON.parse`; a name in other letters takes the place
    /// of a field that says nothing.
    pub(super) fn put(&mut self, root: &'static str, name: String, value: Value) {
        match self.0.iter_mut().find(|field| field.root == root) {
            Some(field) if field.name == name || is_empty_value(&field.value) => {
                (field.name, field.value) = (name, value);
            }
            Some(_) => {}
            None => self.0.push(Field { root, name, value }),
        }
    }

    /// Returns whether it says that there was an error.
    pub(super) fn is_error(&self) -> bool {
        self.field(ERROR).is_some_and(|error| !is_empty_value(error))
    }

    /// The code.
    pub(super) fn code(&self) -> Option<&str> {
        self.text(ErrorField::Code)
    }

    /// The sentence.
    pub(super) fn description(&self) -> Option<Cow<'_, str>> {
        if let Some(sentence) = self.text(ErrorField::Description) {
            return Some(sentence.into());
        }
        match (self.text(ErrorField::Title), self.text(ErrorField::Detail)) {
            (Some(title), Some(detail)) if title.ends_with(['.', '!', '?']) => {
                Some(format!("{title} {detail}").into())
            }
            (Some(title), Some(detail)) => Some(format!("{title}: {detail}").into()),
            (title, detail) => title.or(detail).map(Cow::Borrowed),
        }
    }

    /// The id under which the service remembers this exchange.
    pub(super) fn correlation_id(&self) -> Option<&str> {
        self.text(ErrorField::CorrelationId)
    }

    /// The id of Entra's own log.
    pub(super) fn trace_id(&self) -> Option<&str> {
        self.text(ErrorField::TraceId)
    }

    /// Entra's numbers of the error, numbers or strings as they came.
    pub(super) fn numbers(&self) -> Vec<ErrorNumber> {
        let read = |value: &Value| match value {
            Value::Array(items) => Some(items.iter().filter_map(number).collect()),
            value => number(value).map(|number| vec![number]),
        };
        let filled = |value: &Value| read(value).filter(|numbers: &Vec<_>| !numbers.is_empty());
        self.first(ErrorField::Numbers, filled).unwrap_or_default()
    }

    /// When it happened: a date, or a number of whatever unit the service has.
    pub(super) fn timestamp(&self) -> Option<Cow<'_, str>> {
        self.first(ErrorField::Timestamp, |value| match value {
            Value::Number(number) => Some(number.to_string().into()),
            value => text(value).map(Cow::Borrowed),
        })
    }

    fn text(&self, part: ErrorField) -> Option<&str> {
        self.first(part, text)
    }

    fn first<'a, T>(&'a self, part: ErrorField, read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let places = FIELD_PATHS.iter().filter(|(other, _)| *other == part);
        let mut found = places.filter_map(|(_, path)| search(self.field(path[0])?, &path[1..], &read));
        found.next()
    }

    fn field(&self, root: &str) -> Option<&Value> {
        let found = self.0.iter().find(|field| field.root == root);
        found.map(|field| &field.value)
    }
}

/// What can be read at the end of a path.
fn search<'a, T>(value: &'a Value, path: &[&str], read: &impl Fn(&'a Value) -> Option<T>) -> Option<T> {
    let Some((name, rest)) = path.split_first() else {
        return read(value);
    };
    match value {
        Value::Array(items) => items.iter().find_map(|item| search(item, path, read)),
        Value::Object(fields) => fields
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .find_map(|(_, value)| search(value, rest, read)),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.trim().is_empty())
}

fn number(value: &Value) -> Option<ErrorNumber> {
    match value {
        Value::Number(number) => number.as_f64().map(ErrorNumber::Number),
        value => text(value).map(|text| ErrorNumber::Text(text.to_owned())),
    }
}

fn is_empty_value(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(value: Value) -> ErrorBody {
        let mut body = ErrorBody::default();
        let Value::Object(fields) = value else {
            panic!("no object");
        };
        for (name, value) in fields {
            if let Some(root) = ErrorBody::root(&name) {
                body.put(root, name, value);
            }
        }
        body
    }

    #[test]
    fn each_error_format_is_parsed() {
        for (value, code, sentence, correlation_id) in [
            (
                json!({"error": "E", "error_description": "S.", "correlation_id": "c"}),
                Some("E"),
                Some("S."),
                Some("c"),
            ),
            (
                json!({"statusCode": 400, "message": "S.", "correlationId": "c"}),
                None,
                Some("S."),
                Some("c"),
            ),
            (
                json!({"error": {"code": "E", "message": "S.", "correlationId": "c"}}),
                Some("E"),
                Some("S."),
                Some("c"),
            ),
            (
                json!({"ExceptionMessage": "S.", "ErrorCode": "E", "StatusCode": 400, "Message": null,
                       "CorrelationId": "c"}),
                Some("E"),
                Some("S."),
                Some("c"),
            ),
            (
                json!({"Message": "An error has occurred.", "ExceptionMessage": "S."}),
                None,
                Some("S."),
                None,
            ),
            (json!({"Message": "S."}), None, Some("S."), None),
            (
                json!({"ERROR": {"Code": "E", "MESSAGE": "S."}}),
                Some("E"),
                Some("S."),
                None,
            ),
            (json!({"code": "E", "message": "S."}), Some("E"), Some("S."), None),
            (
                json!({"errors": [{"x": 1}, {"code": "E", "message": "S."}]}),
                Some("E"),
                Some("S."),
                None,
            ),
            (
                json!({"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "S."}),
                None,
                Some("Forbidden: S."),
                None,
            ),
            (
                json!({"title": "No.", "detail": "S."}),
                None,
                Some("No. S."),
                None,
            ),
            (json!({"title": "S"}), None, Some("S"), None),
            (
                json!({"error": 5, "message": [], "errors": "x"}),
                None,
                None,
                None,
            ),
            (
                json!({"error": " ", "message": "", "Message": "S."}),
                None,
                Some("S."),
                None,
            ),
        ] {
            let body = body(value.clone());
            assert_eq!(
                (body.code(), body.description().as_deref(), body.correlation_id()),
                (code, sentence, correlation_id),
                "{value}"
            );
        }
    }

    #[test]
    fn error_numbers_and_timestamps_are_unchanged() {
        let number = ErrorNumber::Number;
        let text = |text: &str| ErrorNumber::Text(text.to_owned());
        for (value, numbers) in [
            (
                json!([70_021, 7_000_222]),
                vec![number(70_021.0), number(7_000_222.0)],
            ),
            (json!(["70021", null, {}]), vec![text("70021")]),
            (json!(70_021), vec![number(70_021.0)]),
            (json!("AADSTS70021"), vec![text("AADSTS70021")]),
            (json!([]), vec![]),
            (json!({}), vec![]),
        ] {
            assert_eq!(body(json!({"error_codes": value})).numbers(), numbers, "{value}");
            assert_eq!(body(json!({"ErrorCodes": value})).numbers(), numbers, "{value}");
        }
        for (value, timestamp) in [
            (json!("2027-01-15 08:00:00Z"), Some("2027-01-15 08:00:00Z")),
            (json!(1_800_000_000), Some("1800000000")),
            (json!(null), None),
        ] {
            assert_eq!(
                body(json!({"timestamp": value})).timestamp().as_deref(),
                timestamp
            );
        }
    }

    #[test]
    fn field_in_another_case_replaces_only_an_empty_value() {
        let read = |fields: &[(&str, Value)]| {
            let mut body = ErrorBody::default();
            for (name, value) in fields {
                body.put(
                    ErrorBody::root(name).expect("a field"),
                    (*name).to_owned(),
                    value.clone(),
                );
            }
            (body.is_error(), body.code().map(str::to_owned))
        };
        let denied = (true, Some("denied".to_owned()));
        assert_eq!(
            read(&[("error", json!("denied")), ("Error", json!(null))]),
            denied
        );
        assert_eq!(read(&[("Error", json!("")), ("error", json!("denied"))]), denied);
        assert_eq!(
            read(&[("error", json!("denied")), ("error", json!(null))]),
            (false, None)
        );
        assert_eq!(read(&[("error", json!(false))]), (true, None));
    }

    #[test]
    fn every_field_path_starts_with_a_lowercase_name() {
        for (_, path) in FIELD_PATHS {
            assert_eq!(ErrorBody::root(&path[0].to_uppercase()), Some(path[0]));
            assert_eq!(path.concat(), path.concat().to_lowercase());
        }
    }
}
