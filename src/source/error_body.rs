//! The body of an error response, in every format that services use.
//!
//! The formats are those of IMDS, Azure Arc and Entra (`error`, `error_description`, `error_codes`, …), App Service
//! (`statusCode`, `message`, `correlationId`) and its endpoint of 2017 (`ExceptionMessage`, `ErrorCode`), Cloud Shell and
//! Service Fabric (`error: { code, message }`), Automation (`Message`), `errors: [{ code, message }]`, and problem details
//! ([RFC 9457]). Names are compared case-insensitively, because one service may use different cases.
//!
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457

use std::borrow::Cow;

use serde_json::Value;

use crate::error::ErrorNumber;

/// A part of an error description.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ErrorField {
    /// The error code.
    Code,
    /// The message.
    Description,
    /// The first half of a problem details message: the kind of problem.
    Title,
    /// The second half: the occurrence.
    Detail,
    /// The id of the exchange in the service's logs.
    CorrelationId,
    /// The id of the request in Entra's logs.
    TraceId,
    /// Entra's numeric error codes.
    Numbers,
    /// The time of the error by the service's clock.
    Timestamp,
}

/// The paths of each part. The first path with a value wins; arrays are searched from the front.
const FIELD_PATHS: [(ErrorField, &[&str]); 26] = [
    (ErrorField::Code, &["error"]),
    (ErrorField::Code, &["error", "code"]),
    (ErrorField::Code, &["errorcode"]),
    (ErrorField::Code, &["errors", "code"]),
    (ErrorField::Code, &["code"]),
    (ErrorField::Description, &["error_description"]),
    // It precedes `message`, where ASP.NET puts a general sentence beside it.
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
/// The field whose presence makes a response an error.
const ERROR: &str = "error";

/// The fields of a body that [`FIELD_PATHS`] start with.
#[derive(Default)]
pub(super) struct ErrorBody(Vec<Field>);

struct Field {
    /// The name in [`FIELD_PATHS`].
    root: &'static str,
    /// The name in the body, in its original case.
    name: String,
    value: Value,
}

impl ErrorBody {
    /// Returns the name in [`FIELD_PATHS`] of a field of a body; `None` for any other field.
    pub(super) fn root(name: &str) -> Option<&'static str> {
        let mut roots = FIELD_PATHS.iter().map(|(_, path)| path[0]);
        roots.find(|root| root.eq_ignore_ascii_case(name))
    }

    /// Adds a field. A duplicate of the same name replaces the earlier value, as in `JSON.parse`. A name in another case
    /// replaces an empty value only.
    pub(super) fn put(&mut self, root: &'static str, name: String, value: Value) {
        match self.0.iter_mut().find(|field| field.root == root) {
            Some(field) if field.name == name || is_empty_value(&field.value) => {
                (field.name, field.value) = (name, value);
            }
            Some(_) => {}
            None => self.0.push(Field { root, name, value }),
        }
    }

    /// Returns whether the body reports an error.
    pub(super) fn is_error(&self) -> bool {
        self.field(ERROR).is_some_and(|error| !is_empty_value(error))
    }

    /// Returns the error code.
    pub(super) fn code(&self) -> Option<&str> {
        self.text(ErrorField::Code)
    }

    /// Returns the message.
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

    /// Returns the id of this exchange in the service's logs.
    pub(super) fn correlation_id(&self) -> Option<&str> {
        self.text(ErrorField::CorrelationId)
    }

    /// Returns the id of the request in Entra's logs.
    pub(super) fn trace_id(&self) -> Option<&str> {
        self.text(ErrorField::TraceId)
    }

    /// Returns Entra's numeric error codes, as numbers or strings like in the body.
    pub(super) fn numbers(&self) -> Vec<ErrorNumber> {
        let read = |value: &Value| match value {
            Value::Array(items) => Some(items.iter().filter_map(number).collect()),
            value => number(value).map(|number| vec![number]),
        };
        let read_some = |value: &Value| read(value).filter(|numbers: &Vec<_>| !numbers.is_empty());
        self.first(ErrorField::Numbers, read_some).unwrap_or_default()
    }

    /// Returns the time of the error: a date, or a number in the unit of the service.
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
        let paths = FIELD_PATHS.iter().filter(|(other, _)| *other == part);
        let mut found = paths.filter_map(|(_, path)| search(self.field(path[0])?, &path[1..], &read));
        found.next()
    }

    fn field(&self, root: &str) -> Option<&Value> {
        let found = self.0.iter().find(|field| field.root == root);
        found.map(|field| &field.value)
    }
}

/// Reads the first value at the end of a path for which `read` returns something.
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
            panic!("not an object");
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
        for (value, code, description, correlation_id) in [
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
                (code, description, correlation_id),
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
