//! Errors worth reading: what was tried, what came back, and the remedy where it is known.
//!
//! Whatever an endpoint says passes through [`redaction`](crate::redaction) before anybody sees it.

mod imds;
mod remedies;

use std::borrow::Cow;
use std::time::Duration;

use self::remedies::{is_about_identity, names_no_identity, remedy};
use super::entra_codes::names_no_federation;
use super::quotation::{Told, quotable, quotable_object};
use super::token_response::Answer;
use super::{Source, SourceName};
use crate::error::{Cause, Code, Error};
use crate::http::retry_loop::Progress;
use crate::http::{BODY_LIMIT, Fault, FaultKind, Response};
use crate::options::identity::presentable;
use crate::redaction::KnownSecrets;
use crate::token::Secret;

/// So many characters of the service's words are quoted.
const WORDS: usize = 500;
/// So much is quoted of a tenant.
const NAME: usize = 100;
const UNAUTHORIZED: u16 = 401;
/// The remedy is looked for in so many bytes of a body: every known response is shorter.
const SEARCHED_BYTES: usize = 65_536;
const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;

/// What the host of a container answers in place of IMDS. Its words are localised; these are not.
const NO_IMDS: [&str; 2] = ["169.254.169.254:80", "connectex"];

/// Who is asked, for errors about it.
pub struct Report {
    source: SourceName,
    endpoint: String,
    off_azure: &'static str,
    tls_remedy: &'static str,
    /// The id that the requests name, if it may be shown.
    identity_id: Option<String>,
    known_secrets: KnownSecrets,
}

impl Report {
    /// A report about one source.
    pub fn about(source: &dyn Source) -> Self {
        Self {
            source: source.name(),
            endpoint: source.endpoint().shown(),
            off_azure: source.unreachable_remedy(),
            tls_remedy: source.tls_remedy(),
            identity_id: None,
            known_secrets: KnownSecrets::default(),
        }
    }

    /// The same about requests that name this identity, which an error about an unknown identity then shows.
    #[must_use]
    pub fn naming(mut self, identity_id: Option<&str>) -> Self {
        self.identity_id = identity_id.and_then(presentable).map(str::to_owned);
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
        error.with(|facts| {
            facts.message = self.redact(&facts.message);
            facts.cause = facts.cause.take().map(|cause| self.redact_cause(cause));
        })
    }

    fn redact_cause(&self, Cause { code, message }: Cause) -> Cause {
        let message = self.known_secrets.redactor().redact(&message, WORDS);
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
    pub fn refusal(
        &self,
        response: &Response,
        earlier: Option<&Secret>,
        attempts: u32,
        retryable: bool,
    ) -> Error {
        let answer = Answer::read(&response.body);
        let text = beginning(response);
        let no_imds = is_container_host(response);
        self.add_secrets(response.secrets.iter().chain(earlier).cloned());
        self.add_secrets(answer.as_ref().and_then(Answer::token));
        let redactor = self.known_secrets.redactor();
        let clean = |text: &str, most| redactor.redact(text, most);
        let told = Told::by(answer.as_ref(), &clean);
        let words = match &answer {
            Some(answer) => answer
                .sentence()
                // A code that can be none is the only thing that was said, at times.
                .or(answer.code().filter(|_| told.code.is_none()).map(Cow::Borrowed))
                .or_else(|| quotable_object(&told, response, &text).map(Cow::Borrowed)),
            None => quotable(response, &text).map(Cow::Borrowed),
        };
        let is_named =
            told.code.is_some() || answer.as_ref().is_some_and(|answer| answer.sentence().is_some());
        let words = words.map(|words| clean(&words, WORDS));
        let remedy = if no_imds {
            Some(self.source.unreachable_remedy())
        } else {
            remedy(&text).or_else(|| {
                // Who refuses a secret says so by the status alone.
                let is_refused = !is_named && [UNAUTHORIZED, FORBIDDEN].contains(&response.status);
                self.source.refused_remedy().filter(|_| is_refused)
            })
        };
        let message = self.told(response, answer.is_some(), words.as_deref(), &told.ids(), remedy);
        let code = match told.code {
            _ if no_imds => Code::UnreachableNetwork,
            Some(code) => Code::Service(code.into()),
            None => Code::FailedResponse,
        };
        self.error(code, message, attempts).with(|facts| {
            facts.status = Some(response.status);
            facts.number = told.number;
            facts.correlation_id = told.correlation_id;
            facts.retryable = retryable && !no_imds;
            facts.unavailable = no_imds || response.status == NOT_FOUND || names_no_identity(&text);
        })
    }

    /// The token is of another tenant than the only one of which it will do.
    pub fn other_tenant(&self, wanted: &str, got: &str) -> Error {
        let message = format!(
            "The identity is of the tenant {}, and tenantId asks for {}: a managed identity has tokens of its own \
             tenant only.",
            self.known_secrets.redactor().redact(got, NAME),
            self.known_secrets.redactor().redact(wanted, NAME)
        );
        self.signed(Error::new(Code::InvalidConfiguration, message), 0)
    }

    /// The endpoint answered with a token that is of no use.
    pub fn unusable(&self, why: &str, response: &Response, attempts: u32) -> Error {
        let message = format!("{} answered {}, but {why}.", self.subject(), response.status);
        self.error(Code::FailedResponse, message, attempts)
            .with(|facts| facts.status = Some(response.status))
    }

    /// No answer came.
    pub fn fault(&self, fault: &Fault, attempts: u32, retryable: bool) -> Error {
        let subject = self.subject();
        let (code, what) = match fault.kind {
            FaultKind::Refused => (Code::UnreachableNetwork, "refused the connection"),
            FaultKind::Reset => (
                Code::UnreachableNetwork,
                "broke the connection off before its answer was complete",
            ),
            FaultKind::Closed => (
                Code::UnreachableNetwork,
                "closed the connection without an answer",
            ),
            FaultKind::Unroutable => (Code::UnreachableNetwork, "cannot be reached from here"),
            FaultKind::Local => (
                Code::UnreachableNetwork,
                "was not asked: this process itself could not open a connection",
            ),
            FaultKind::NameResolution => (
                Code::UnreachableNetwork,
                "has a host name that cannot be resolved",
            ),
            FaultKind::Tls => (Code::UnreachableNetwork, "could not agree on a TLS connection"),
            FaultKind::CallersClient => (
                Code::UnreachableNetwork,
                "was not reached: system.networkClient failed",
            ),
            FaultKind::ThumbprintMismatch => (
                Code::InvalidServerThumbprint,
                "has a certificate with another thumbprint than IDENTITY_SERVER_THUMBPRINT; nothing was sent to it",
            ),
            FaultKind::ConnectTimeout => (
                Code::NetworkUnavailable,
                "accepted no connection in time (system.connectTimeout)",
            ),
            FaultKind::RequestTimeout => (
                Code::NetworkUnavailable,
                "gave no answer in time (system.requestTimeout)",
            ),
            FaultKind::CallersTimeout => (
                Code::NetworkUnavailable,
                "gave system.networkClient no answer in time",
            ),
            FaultKind::NotHttp => (Code::FailedResponse, "answered with something that is no HTTP"),
            FaultKind::BodyTooLarge => (Code::FailedResponse, "answered 200, with too much"),
            FaultKind::WireLimit => (
                Code::FailedResponse,
                "sent more than 64 KiB before the head of its response was complete, or more than 2 MiB in all",
            ),
            FaultKind::Unsendable => (
                Code::InvalidConfiguration,
                "was not asked: the request cannot be sent",
            ),
        };
        let cause = fault.cause.clone().map(|cause| self.redact_cause(cause));
        let detail = match (&cause, fault.kind) {
            (_, FaultKind::BodyTooLarge) => format!(" (over {BODY_LIMIT} bytes)"),
            // A thumbprint has been spoken of already, in better words than those of the TLS library.
            // So has a time limit; which library noticed it first is a matter of chance.
            (None, _) | (_, FaultKind::ThumbprintMismatch | FaultKind::ConnectTimeout) => String::new(),
            (Some(cause), _) => format!(" ({})", cause.message),
        };
        let remedy = match fault.kind {
            FaultKind::Refused
            | FaultKind::Unroutable
            | FaultKind::NameResolution
            | FaultKind::ConnectTimeout => self.off_azure,
            FaultKind::Tls => self.tls_remedy,
            FaultKind::Local => {
                "That says nothing about the endpoint: look at this process's limits of open files and ports, and at \
                 what a firewall or a sandbox of this host lets it do."
            }
            _ => "",
        };
        let message = sentences(&format!("{subject} {what}{detail}"), attempts, remedy);
        self.error(code, message, attempts).with(|facts| {
            facts.retryable = retryable;
            facts.unavailable = fault.kind == FaultKind::ConnectTimeout
                || facts.code == Code::UnreachableNetwork && fault.kind != FaultKind::Local;
            facts.cause = cause;
            facts.status = (fault.kind == FaultKind::BodyTooLarge).then_some(200);
        })
    }

    /// A caller's time is up.
    pub fn out_of_time(&self, total: Duration, progress: &Progress) -> Error {
        let attempts = progress.attempts();
        let mut message = format!(
            "{} gave no token within {} ms (totalTimeout){}",
            self.subject(),
            total.as_millis(),
            times(attempts)
        );
        if let Some(last) = progress.last() {
            message = format!("{message}; before that: {}", last.facts().message);
        }
        let message = finished(message);
        self.error(Code::NetworkUnavailable, message, attempts)
            .with(|facts| {
                facts.retryable = true;
                if let Some(last) = progress.last() {
                    facts.status = last.facts().status;
                    facts.unavailable = last.facts().unavailable;
                    facts.retry_after = last.facts().retry_after;
                    facts.cause.clone_from(&last.facts().cause);
                }
            })
    }

    /// The endpoint asked for a pause that is longer than the caller has.
    pub fn paused(&self, pause: Duration, attempts: u32) -> Error {
        let message = format!(
            "{} has asked this process, with a 429, to leave it alone for another {} ms, which is longer than \
             this call may take.",
            self.subject(),
            pause.as_millis()
        );
        self.error(Code::FailedResponse, message, attempts).with(|facts| {
            facts.status = Some(429);
            facts.retryable = true;
            facts.retry_after = Some(pause);
        })
    }

    /// An error of this source, made elsewhere.
    pub fn signed(&self, error: Error, attempts: u32) -> Error {
        self.redact_error(error).with(|facts| {
            facts.source = Some(self.source);
            facts.endpoint = Some(self.endpoint.clone());
            facts.attempts = Some(attempts);
        })
    }

    fn subject(&self) -> String {
        format!("{} at {}", self.source.label(), self.endpoint)
    }

    fn error(&self, code: Code, message: String, attempts: u32) -> Error {
        self.signed(Error::new(code, message), attempts)
    }

    fn told(
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
        sentences(&told, 0, &remedy)
    }
}

/// A sentence, how often it was tried if more than once, and the remedy.
fn sentences(what: &str, attempts: u32, remedy: &str) -> String {
    let what = finished(format!("{what}{}", times(attempts)));
    format!("{what} {remedy}").trim_end().to_owned()
}

fn times(attempts: u32) -> String {
    if attempts > 1 {
        format!(", after {attempts} requests")
    } else {
        String::new()
    }
}

/// The same with a full stop, unless it ends like a sentence already.
fn finished(mut text: String) -> String {
    if !text.ends_with(['.', '!', '?', '…']) {
        text.push('.');
    }
    text
}

/// Whether an answer says that the host has no such identity, or Entra no such federated credential: either can take
/// minutes to become known after it was made.
pub fn is_identity_missing(response: &Response) -> bool {
    let text = beginning(response);
    response.status >= 400 && (names_no_identity(&text) || names_no_federation(&text))
}

/// Whether an answer comes from the host of a container, in place of IMDS.
pub fn is_container_host(response: &Response) -> bool {
    response.status == FORBIDDEN && {
        let text = beginning(response);
        NO_IMDS.iter().any(|sign| text.contains(sign))
    }
}

/// The text of a body, or the beginning of a long one.
fn beginning(response: &Response) -> Cow<'_, str> {
    String::from_utf8_lossy(&response.body[..response.body.len().min(SEARCHED_BYTES)])
}

#[cfg(test)]
mod tests;
