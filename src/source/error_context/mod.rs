//! The errors of an acquisition: what was attempted, what the endpoint returned, and the remedy if one is known.
//!
//! All text of an endpoint is redacted (see [`redaction`](crate::redaction)) before it becomes part of an error.
//!
//! Over 300 lines, because every error is built from the same facts. The remedies, and the errors of IMDS's default
//! address, are in files of their own.

mod imds;
mod remedies;

use std::borrow::Cow;
use std::time::Duration;

use self::remedies::{is_about_identity, names_no_identity, remedy};
use super::entra_codes::names_no_federation;
use super::quotation::{QuotedError, quotable_body, quotable_object};
use super::token_response::TokenResponse;
use super::{Source, SourceName};
use crate::error::{Cause, Code, Error};
use crate::http::attempt_stats::AttemptStats;
use crate::http::{MAX_BODY_BYTES, Response, TransportError, TransportErrorKind};
use crate::options::identity::printable_id;
use crate::redaction::KnownSecrets;
use crate::token::Secret;

/// The most characters of a service's message that an error quotes.
const MAX_QUOTED_CHARS: usize = 500;
/// The most characters of a tenant or of a `Server` header that an error quotes.
const MAX_ID_CHARS: usize = 100;
const UNAUTHORIZED: u16 = 401;
/// Only this many bytes of a body are searched for known texts; every known response is shorter.
const MAX_SEARCHED_BYTES: usize = 65_536;
const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;

/// Texts of the 403 that a container host returns in place of IMDS. The rest of its message is localized.
const NO_IMDS: [&str; 2] = ["169.254.169.254:80", "connectex"];

/// The source and endpoint that errors name, and the secrets that are removed from errors.
pub struct ErrorContext {
    source: SourceName,
    endpoint: String,
    unreachable_remedy: &'static str,
    tls_remedy: &'static str,
    /// The identity's id in the requests, if an error may show it.
    identity_id: Option<String>,
    known_secrets: KnownSecrets,
}

impl ErrorContext {
    /// Creates the context for errors of one source.
    pub fn new(source: &dyn Source) -> Self {
        Self {
            source: source.name(),
            endpoint: source.endpoint().without_query(),
            unreachable_remedy: source.unreachable_remedy(),
            tls_remedy: source.tls_remedy(),
            identity_id: None,
            known_secrets: KnownSecrets::default(),
        }
    }

    /// Sets the id that requests name; an error about an unknown identity shows it if it has the form of an id.
    #[must_use]
    pub fn with_identity(mut self, identity_id: Option<&str>) -> Self {
        self.identity_id = identity_id.and_then(printable_id).map(str::to_owned);
        self
    }

    /// Adds secrets that all further messages about this acquisition redact.
    pub fn add_secrets(&self, secrets: impl IntoIterator<Item = Secret>) {
        self.known_secrets.add(secrets);
    }

    /// Redacts the secrets of this acquisition in a text.
    pub fn redact(&self, text: &str) -> String {
        self.known_secrets.redactor().redact(text, usize::MAX)
    }

    /// Redacts the secrets of this acquisition in an error and its cause.
    pub fn redact_error(&self, error: Error) -> Error {
        error.map_details(|details| {
            details.message = self.redact(&details.message);
            details.cause = details.cause.take().map(|cause| self.redact_cause(cause));
        })
    }

    fn redact_cause(&self, Cause { code, message }: Cause) -> Cause {
        let message = self.known_secrets.redactor().redact(&message, MAX_QUOTED_CHARS);
        Cause { code, message }
    }

    /// Returns the source.
    pub fn source(&self) -> SourceName {
        self.source
    }

    /// Returns the endpoint without its query.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the error for a response without a token. `earlier` is a previous token, which the response may repeat.
    pub fn response_error(
        &self,
        response: &Response,
        earlier: Option<&Secret>,
        attempts: u32,
        retryable: bool,
    ) -> Error {
        let token_response = TokenResponse::parse(&response.body);
        let text = body_start(response);
        let no_imds = is_container_host(response);
        self.add_secrets(response.secrets.iter().chain(earlier).cloned());
        self.add_secrets(token_response.as_ref().and_then(TokenResponse::raw_token));
        let redactor = self.known_secrets.redactor();
        let redact = |text: &str, max_chars| redactor.redact(text, max_chars);
        let quoted = QuotedError::new(token_response.as_ref(), &redact);
        let quotation = match &token_response {
            Some(token_response) => token_response
                .error_description()
                // The error may consist of a text in place of a code.
                .or(token_response
                    .error_code()
                    .filter(|_| quoted.code.is_none())
                    .map(Cow::Borrowed))
                .or_else(|| quotable_object(&quoted, response, &text).map(Cow::Borrowed)),
            None => quotable_body(response, &text).map(Cow::Borrowed),
        };
        let has_error = quoted.code.is_some()
            || token_response
                .as_ref()
                .is_some_and(|token_response| token_response.error_description().is_some());
        let quotation = quotation.map(|text| redact(&text, MAX_QUOTED_CHARS));
        let remedy = if no_imds {
            Some(self.source.unreachable_remedy())
        } else {
            remedy(&text).or_else(|| {
                // An endpoint that rejects a secret or a path may return the status alone.
                match response.status {
                    _ if has_error => None,
                    UNAUTHORIZED | FORBIDDEN => self.source.refused_remedy(),
                    NOT_FOUND => self.source.not_found_remedy(),
                    _ => None,
                }
            })
        };
        let message = self.describe_response(
            response,
            token_response.is_some(),
            quotation.as_deref(),
            &quoted.ids(),
            remedy,
        );
        let code = match quoted.code {
            _ if no_imds => Code::UnreachableNetwork,
            Some(code) => Code::Service(code.into()),
            None => Code::FailedResponse,
        };
        self.error(code, message, attempts).map_details(|details| {
            details.status = Some(response.status);
            details.number = quoted.number;
            details.correlation_id = quoted.correlation_id;
            details.retryable = retryable && !no_imds;
            details.unavailable = no_imds || response.status == NOT_FOUND || names_no_identity(&text);
        })
    }

    /// Returns the error for a token of a tenant other than the one that the request requires.
    pub fn tenant_mismatch(&self, required: &str, actual: &str) -> Error {
        let message = format!(
            "The identity belongs to the tenant {}, but tenantId is {}. A managed identity gets tokens of its own \
             tenant only.",
            self.known_secrets.redactor().redact(actual, MAX_ID_CHARS),
            self.known_secrets.redactor().redact(required, MAX_ID_CHARS)
        );
        self.with_source(Error::new(Code::InvalidConfiguration, message), 0)
    }

    /// Returns the error for a response whose token cannot be used.
    pub fn unusable_response(&self, reason: &str, response: &Response, attempts: u32) -> Error {
        let message = format!("{} answered {}, but {reason}.", self.subject(), response.status);
        self.error(Code::FailedResponse, message, attempts)
            .map_details(|details| details.status = Some(response.status))
    }

    /// Returns the error for a long response that could not be redacted in time. It quotes nothing of the response.
    pub fn unexamined(&self, response: &Response, attempts: u32, retryable: bool) -> Error {
        let reason =
            "its response is long, and this process had no free thread to parse and redact it in time";
        self.unusable_response(reason, response, attempts)
            .map_details(|details| details.retryable = retryable)
    }

    /// Returns the error for a request without a complete response.
    pub fn transport_error(&self, error: &TransportError, attempts: u32, retryable: bool) -> Error {
        let subject = self.subject();
        let (code, event) = match error.kind {
            TransportErrorKind::ConnectionRefused => (Code::UnreachableNetwork, "refused the connection"),
            TransportErrorKind::ConnectionReset => (
                Code::UnreachableNetwork,
                "reset the connection before its response was complete",
            ),
            TransportErrorKind::ConnectionClosed => (
                Code::UnreachableNetwork,
                "closed the connection without a response",
            ),
            TransportErrorKind::Unreachable => (Code::UnreachableNetwork, "cannot be reached from this host"),
            TransportErrorKind::Local => (
                Code::UnreachableNetwork,
                "was not contacted: this process could not open a connection",
            ),
            TransportErrorKind::NameResolution => (
                Code::UnreachableNetwork,
                "has a host name that cannot be resolved",
            ),
            TransportErrorKind::Tls => (Code::UnreachableNetwork, "failed the TLS handshake"),
            TransportErrorKind::CustomClient => (
                Code::UnreachableNetwork,
                "was not reached: system.networkClient failed",
            ),
            TransportErrorKind::ThumbprintMismatch => (
                Code::InvalidServerThumbprint,
                "has a certificate whose thumbprint is not IDENTITY_SERVER_THUMBPRINT; no request was sent",
            ),
            TransportErrorKind::ConnectTimeout => (
                Code::NetworkUnavailable,
                "did not accept a connection in time (system.connectTimeout)",
            ),
            TransportErrorKind::RequestTimeout => (
                Code::NetworkUnavailable,
                "did not respond in time (system.requestTimeout)",
            ),
            TransportErrorKind::CustomClientTimeout => (
                Code::NetworkUnavailable,
                "did not respond to system.networkClient in time",
            ),
            TransportErrorKind::NotHttp => (Code::FailedResponse, "answered with data that is not HTTP"),
            TransportErrorKind::BodyTooLarge => (Code::FailedResponse, "answered 200 with a body"),
            TransportErrorKind::WireLimit => (
                Code::FailedResponse,
                "sent more than 64 KiB before the head of its response was complete, or more than 2 MiB in all",
            ),
            TransportErrorKind::InvalidRequest => (
                Code::InvalidConfiguration,
                "was not contacted: the request is invalid and could not be sent",
            ),
        };
        let cause = error.cause.clone().map(|cause| self.redact_cause(cause));
        let detail = match (&cause, error.kind) {
            (_, TransportErrorKind::BodyTooLarge) => format!(" over {} MiB", MAX_BODY_BYTES >> 20),
            // For these two kinds the cause adds nothing, and its text depends on the layer that detected the failure.
            (None, _) | (_, TransportErrorKind::ThumbprintMismatch | TransportErrorKind::ConnectTimeout) => {
                String::new()
            }
            (Some(cause), _) => format!(" ({})", cause.message),
        };
        let remedy = match error.kind {
            TransportErrorKind::ConnectionRefused
            | TransportErrorKind::Unreachable
            | TransportErrorKind::NameResolution
            | TransportErrorKind::ConnectTimeout => self.unreachable_remedy,
            TransportErrorKind::Tls => self.tls_remedy,
            TransportErrorKind::Local => {
                "The endpoint is not the cause: check this process's limits of open files and ports, and whether a \
                 firewall or a sandbox of this host restricts it."
            }
            _ => "",
        };
        let message = format_message(&format!("{subject} {event}{detail}"), attempts, remedy);
        self.error(code, message, attempts).map_details(|details| {
            details.retryable = retryable;
            details.unavailable = error.kind == TransportErrorKind::ConnectTimeout
                || details.code == Code::UnreachableNetwork && error.kind != TransportErrorKind::Local;
            details.cause = cause;
            details.status = (error.kind == TransportErrorKind::BodyTooLarge).then_some(200);
        })
    }

    /// Returns the error for a call whose total timeout has passed.
    pub fn timed_out(&self, total: Duration, stats: &AttemptStats) -> Error {
        let attempts = stats.attempts();
        let mut message = format!(
            "{} did not return a token within {} ms (totalTimeout){}",
            self.subject(),
            total.as_millis(),
            attempts_text(attempts)
        );
        if let Some(last) = stats.last_error() {
            message = format!("{message}; the last error was: {}", last.details().message);
        }
        let message = with_period(message);
        self.error(Code::NetworkUnavailable, message, attempts)
            .map_details(|details| {
                details.retryable = true;
                if let Some(last) = stats.last_error() {
                    details.status = last.details().status;
                    details.unavailable = last.details().unavailable;
                    details.retry_after = last.details().retry_after;
                    details.cause.clone_from(&last.details().cause);
                }
            })
    }

    /// Returns the error for a call that would end before the endpoint allows the next request.
    pub fn retry_after_too_long(&self, pause: Duration, attempts: u32) -> Error {
        let message = format!(
            "{} answered 429 and accepts no further request for {} ms, which is longer than this call may take.",
            self.subject(),
            pause.as_millis()
        );
        self.error(Code::FailedResponse, message, attempts)
            .map_details(|details| {
                details.status = Some(429);
                details.retryable = true;
                details.retry_after = Some(pause);
            })
    }

    /// Redacts an error that was created elsewhere and adds source, endpoint and the number of attempts.
    pub fn with_source(&self, error: Error, attempts: u32) -> Error {
        self.redact_error(error).map_details(|details| {
            details.source = Some(self.source);
            details.endpoint = Some(self.endpoint.clone());
            details.attempts = Some(attempts);
        })
    }

    fn subject(&self) -> String {
        format!("{} at {}", self.source.display_name(), self.endpoint)
    }

    fn error(&self, code: Code, message: String, attempts: u32) -> Error {
        self.with_source(Error::new(code, message), attempts)
    }

    fn describe_response(
        &self,
        response: &Response,
        is_json: bool,
        quotation: Option<&str>,
        ids: &[(&str, &str)],
        remedy: Option<&str>,
    ) -> String {
        let mut message = format!("{} answered {}", self.subject(), response.status);
        match response.status {
            200..=299 if is_json && quotation.is_none() => message.push_str(" without a token"),
            200..=299 if !is_json => message.push_str(", but the body is not a JSON object"),
            300..=399 => message.push_str(", a redirect, which is never followed"),
            _ => {}
        }
        if let Some(quotation) = quotation.filter(|text| !text.is_empty()) {
            message = format!("{message}: {quotation}");
        }
        if !ids.is_empty() {
            let ids: Vec<String> = ids.iter().map(|(name, id)| format!("{name} {id}")).collect();
            message = format!("{message} ({})", ids.join(", "));
        }
        let id = self
            .identity_id
            .as_ref()
            .filter(|_| remedy.is_some_and(is_about_identity));
        let remedy = match (remedy, id) {
            (Some(remedy), Some(id)) => format!("{remedy} The request named {id}."),
            (remedy, _) => remedy.unwrap_or_default().to_owned(),
        };
        format_message(&message, 0, &remedy)
    }
}

/// Joins a sentence, the number of requests if there was more than one, and the remedy.
fn format_message(event: &str, attempts: u32, remedy: &str) -> String {
    let event = with_period(format!("{event}{}", attempts_text(attempts)));
    format!("{event} {remedy}").trim_end().to_owned()
}

fn attempts_text(attempts: u32) -> String {
    if attempts > 1 {
        format!(", after {attempts} requests")
    } else {
        String::new()
    }
}

/// Appends a full stop, unless the text ends like a sentence already.
fn with_period(mut text: String) -> String {
    if !text.ends_with(['.', '!', '?', '…']) {
        text.push('.');
    }
    text
}

/// Returns whether a response says that the identity or the federated credential does not exist. Either can take minutes
/// to become known after its creation.
pub fn is_identity_missing(response: &Response) -> bool {
    let text = body_start(response);
    response.status >= 400 && (names_no_identity(&text) || names_no_federation(&text))
}

/// Returns whether a response comes from a container host that answers in place of IMDS.
pub fn is_container_host(response: &Response) -> bool {
    response.status == FORBIDDEN && {
        let text = body_start(response);
        NO_IMDS.iter().any(|known| text.contains(known))
    }
}

/// Returns the text of a body, or the beginning of a long body.
fn body_start(response: &Response) -> Cow<'_, str> {
    String::from_utf8_lossy(&response.body[..response.body.len().min(MAX_SEARCHED_BYTES)])
}

#[cfg(test)]
mod tests;
