//! Errors worth reading: what was tried, what came back, and the remedy where it is known.
//!
//! Whatever an endpoint says passes through [`redaction`](crate::redaction) before anybody sees it.

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

/// So many characters of the service's words are quoted.
const MAX_QUOTED_CHARS: usize = 500;
/// So much is quoted of a tenant.
const MAX_ID_CHARS: usize = 100;
const UNAUTHORIZED: u16 = 401;
/// The remedy is looked for in so many bytes of a body: every known response is shorter.
const MAX_SEARCHED_BYTES: usize = 65_536;
const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;

/// What the host of a container answers in place of IMDS. Its words are localised; these are not.
const NO_IMDS: [&str; 2] = ["169.254.169.254:80", "connectex"];

/// Who is asked, for errors about it.
pub struct ErrorContext {
    source: SourceName,
    endpoint: String,
    unreachable_remedy: &'static str,
    tls_remedy: &'static str,
    /// The id that the requests name, if it may be shown.
    identity_id: Option<String>,
    known_secrets: KnownSecrets,
}

impl ErrorContext {
    /// A report about one source.
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

    /// The same about requests that name this identity, which an error about an unknown identity then shows.
    #[must_use]
    pub fn with_identity(mut self, identity_id: Option<&str>) -> Self {
        self.identity_id = identity_id.and_then(printable_id).map(str::to_owned);
        self
    }

    /// From now on, these secrets are removed from everything that is said about this acquisition.
    pub fn add_secrets(&self, secrets: impl IntoIterator<Item = Secret>) {
        self.known_secrets.add(secrets);
    }

    /// Returns a text without any secret of this acquisition.
    pub fn redact(&self, text: &str) -> String {
        self.known_secrets.redactor().redact(text, usize::MAX)
    }

    /// Returns an error without any secret of this acquisition.
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

    /// Which source is asked.
    pub fn source(&self) -> SourceName {
        self.source
    }

    /// Where it is asked, without the query.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The endpoint answered, but not with a token. `earlier` is one that it gave before, and could repeat.
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
        let clean = |text: &str, most| redactor.redact(text, most);
        let told = QuotedError::new(token_response.as_ref(), &clean);
        let words = match &token_response {
            Some(token_response) => token_response
                .error_description()
                // A code that can be none is the only thing that was said, at times.
                .or(token_response
                    .error_code()
                    .filter(|_| told.code.is_none())
                    .map(Cow::Borrowed))
                .or_else(|| quotable_object(&told, response, &text).map(Cow::Borrowed)),
            None => quotable_body(response, &text).map(Cow::Borrowed),
        };
        let is_named = told.code.is_some()
            || token_response
                .as_ref()
                .is_some_and(|token_response| token_response.error_description().is_some());
        let words = words.map(|words| clean(&words, MAX_QUOTED_CHARS));
        let remedy = if no_imds {
            Some(self.source.unreachable_remedy())
        } else {
            remedy(&text).or_else(|| {
                // Who refuses a secret says so by the status alone.
                let is_refused = !is_named && [UNAUTHORIZED, FORBIDDEN].contains(&response.status);
                self.source.refused_remedy().filter(|_| is_refused)
            })
        };
        let message = self.describe_response(
            response,
            token_response.is_some(),
            words.as_deref(),
            &told.ids(),
            remedy,
        );
        let code = match told.code {
            _ if no_imds => Code::UnreachableNetwork,
            Some(code) => Code::Service(code.into()),
            None => Code::FailedResponse,
        };
        self.error(code, message, attempts).map_details(|details| {
            details.status = Some(response.status);
            details.number = told.number;
            details.correlation_id = told.correlation_id;
            details.retryable = retryable && !no_imds;
            details.unavailable = no_imds || response.status == NOT_FOUND || names_no_identity(&text);
        })
    }

    /// The token is of another tenant than the only one of which it will do.
    pub fn tenant_mismatch(&self, wanted: &str, got: &str) -> Error {
        let message = format!(
            "The identity is of the tenant {}, and tenantId asks for {}: a managed identity has tokens of its own \
             tenant only.",
            self.known_secrets.redactor().redact(got, MAX_ID_CHARS),
            self.known_secrets.redactor().redact(wanted, MAX_ID_CHARS)
        );
        self.with_source(Error::new(Code::InvalidConfiguration, message), 0)
    }

    /// The endpoint answered with a token that is of no use.
    pub fn unusable_response(&self, why: &str, response: &Response, attempts: u32) -> Error {
        let message = format!("{} answered {}, but {why}.", self.subject(), response.status);
        self.error(Code::FailedResponse, message, attempts)
            .map_details(|details| details.status = Some(response.status))
    }

    /// A long response could not be examined in time: nothing of it is quoted.
    pub fn unexamined(&self, response: &Response, attempts: u32, retryable: bool) -> Error {
        let why = "its response is long, and this process had no thread to read and redact it in time";
        self.unusable_response(why, response, attempts)
            .map_details(|details| details.retryable = retryable)
    }

    /// No response came.
    pub fn transport_error(&self, fault: &TransportError, attempts: u32, retryable: bool) -> Error {
        let subject = self.subject();
        let (code, what) = match fault.kind {
            TransportErrorKind::ConnectionRefused => (Code::UnreachableNetwork, "refused the connection"),
            TransportErrorKind::ConnectionReset => (
                Code::UnreachableNetwork,
                "broke the connection off before its answer was complete",
            ),
            TransportErrorKind::ConnectionClosed => (
                Code::UnreachableNetwork,
                "closed the connection without an answer",
            ),
            TransportErrorKind::Unreachable => (Code::UnreachableNetwork, "cannot be reached from here"),
            TransportErrorKind::Local => (
                Code::UnreachableNetwork,
                "was not asked: this process itself could not open a connection",
            ),
            TransportErrorKind::NameResolution => (
                Code::UnreachableNetwork,
                "has a host name that cannot be resolved",
            ),
            TransportErrorKind::Tls => (Code::UnreachableNetwork, "could not agree on a TLS connection"),
            TransportErrorKind::CustomClient => (
                Code::UnreachableNetwork,
                "was not reached: system.networkClient failed",
            ),
            TransportErrorKind::ThumbprintMismatch => (
                Code::InvalidServerThumbprint,
                "has a certificate with another thumbprint than IDENTITY_SERVER_THUMBPRINT; nothing was sent to it",
            ),
            TransportErrorKind::ConnectTimeout => (
                Code::NetworkUnavailable,
                "accepted no connection in time (system.connectTimeout)",
            ),
            TransportErrorKind::RequestTimeout => (
                Code::NetworkUnavailable,
                "gave no answer in time (system.requestTimeout)",
            ),
            TransportErrorKind::CustomClientTimeout => (
                Code::NetworkUnavailable,
                "gave system.networkClient no answer in time",
            ),
            TransportErrorKind::NotHttp => (Code::FailedResponse, "answered with something that is no HTTP"),
            TransportErrorKind::BodyTooLarge => (Code::FailedResponse, "answered 200, with too much"),
            TransportErrorKind::WireLimit => (
                Code::FailedResponse,
                "sent more than 64 KiB before the head of its response was complete, or more than 2 MiB in all",
            ),
            TransportErrorKind::InvalidRequest => (
                Code::InvalidConfiguration,
                "was not asked: the request cannot be sent",
            ),
        };
        let cause = fault.cause.clone().map(|cause| self.redact_cause(cause));
        let detail = match (&cause, fault.kind) {
            (_, TransportErrorKind::BodyTooLarge) => format!(" (over {MAX_BODY_BYTES} bytes)"),
            // A thumbprint has been spoken of already, in better words than those of the TLS library.
            // So has a time limit; which library noticed it first is a matter of chance.
            (None, _) | (_, TransportErrorKind::ThumbprintMismatch | TransportErrorKind::ConnectTimeout) => {
                String::new()
            }
            (Some(cause), _) => format!(" ({})", cause.message),
        };
        let remedy = match fault.kind {
            TransportErrorKind::ConnectionRefused
            | TransportErrorKind::Unreachable
            | TransportErrorKind::NameResolution
            | TransportErrorKind::ConnectTimeout => self.unreachable_remedy,
            TransportErrorKind::Tls => self.tls_remedy,
            TransportErrorKind::Local => {
                "That says nothing about the endpoint: look at this process's limits of open files and ports, and at \
                 what a firewall or a sandbox of this host lets it do."
            }
            _ => "",
        };
        let message = format_message(&format!("{subject} {what}{detail}"), attempts, remedy);
        self.error(code, message, attempts).map_details(|details| {
            details.retryable = retryable;
            details.unavailable = fault.kind == TransportErrorKind::ConnectTimeout
                || details.code == Code::UnreachableNetwork && fault.kind != TransportErrorKind::Local;
            details.cause = cause;
            details.status = (fault.kind == TransportErrorKind::BodyTooLarge).then_some(200);
        })
    }

    /// A caller's time is up.
    pub fn timed_out(&self, total: Duration, progress: &AttemptStats) -> Error {
        let attempts = progress.attempts();
        let mut message = format!(
            "{} gave no token within {} ms (totalTimeout){}",
            self.subject(),
            total.as_millis(),
            attempts_text(attempts)
        );
        if let Some(last) = progress.last_error() {
            message = format!("{message}; before that: {}", last.details().message);
        }
        let message = with_period(message);
        self.error(Code::NetworkUnavailable, message, attempts)
            .map_details(|details| {
                details.retryable = true;
                if let Some(last) = progress.last_error() {
                    details.status = last.details().status;
                    details.unavailable = last.details().unavailable;
                    details.retry_after = last.details().retry_after;
                    details.cause.clone_from(&last.details().cause);
                }
            })
    }

    /// The endpoint asked for a pause that is longer than the caller has.
    pub fn retry_after_too_long(&self, pause: Duration, attempts: u32) -> Error {
        let message = format!(
            "{} has asked this process, with a 429, to leave it alone for another {} ms, which is longer than \
             this call may take.",
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

    /// An error of this source, made elsewhere.
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
        json: bool,
        words: Option<&str>,
        ids: &[(&str, &str)],
        remedy: Option<&str>,
    ) -> String {
        let mut told = format!("{} answered {}", self.subject(), response.status);
        match response.status {
            200..=299 if json && words.is_none() => told.push_str(" without a token"),
            200..=299 if !json => told.push_str(", but the body is no JSON object"),
            300..=399 => told.push_str(", a redirect, which is never followed"),
            _ => {}
        }
        if let Some(words) = words.filter(|words| !words.is_empty()) {
            told = format!("{told}: {words}");
        }
        if !ids.is_empty() {
            let ids: Vec<String> = ids.iter().map(|(name, id)| format!("{name} {id}")).collect();
            told = format!("{told} ({})", ids.join(", "));
        }
        let id = self
            .identity_id
            .as_ref()
            .filter(|_| remedy.is_some_and(is_about_identity));
        let remedy = match (remedy, id) {
            (Some(remedy), Some(id)) => format!("{remedy} The request named {id}."),
            (remedy, _) => remedy.unwrap_or_default().to_owned(),
        };
        format_message(&told, 0, &remedy)
    }
}

/// A sentence, how often it was tried if more than once, and the remedy.
fn format_message(what: &str, attempts: u32, remedy: &str) -> String {
    let what = with_period(format!("{what}{}", attempts_text(attempts)));
    format!("{what} {remedy}").trim_end().to_owned()
}

fn attempts_text(attempts: u32) -> String {
    if attempts > 1 {
        format!(", after {attempts} requests")
    } else {
        String::new()
    }
}

/// The same with a full stop, unless it ends like a sentence already.
fn with_period(mut text: String) -> String {
    if !text.ends_with(['.', '!', '?', '…']) {
        text.push('.');
    }
    text
}

/// Whether an answer says that the host has no such identity, or Entra no such federated credential: either can take
/// minutes to become known after it was made.
pub fn is_identity_missing(response: &Response) -> bool {
    let text = body_start(response);
    response.status >= 400 && (names_no_identity(&text) || names_no_federation(&text))
}

/// Whether an answer comes from the host of a container, in place of IMDS.
pub fn is_container_host(response: &Response) -> bool {
    response.status == FORBIDDEN && {
        let text = body_start(response);
        NO_IMDS.iter().any(|sign| text.contains(sign))
    }
}

/// The text of a body, or the beginning of a long one.
fn body_start(response: &Response) -> Cow<'_, str> {
    String::from_utf8_lossy(&response.body[..response.body.len().min(MAX_SEARCHED_BYTES)])
}

#[cfg(test)]
mod tests;
