//! Errors for IMDS's default address, where another service or none may respond.

use std::time::Duration;

use super::{ErrorContext, MAX_ID_CHARS, MAX_QUOTED_CHARS, body_start, format_message, quotable_body};
use crate::error::{Code, Error};
use crate::http::Response;
use crate::source::imds_evidence::is_html;
use crate::token::Secret;

impl ErrorContext {
    /// Returns the error for a response of something other than IMDS at IMDS's default address. `earlier` is as in
    /// [`response_error`](Self::response_error).
    pub fn foreign_response(
        &self,
        response: &Response,
        earlier: Option<&Secret>,
        attempts: u32,
        retryable: bool,
    ) -> Error {
        self.add_secrets(response.secrets.iter().chain(earlier).cloned());
        let redactor = self.known_secrets.redactor();
        let redact = |text: &str, max_chars| {
            let text = redactor.redact(text, max_chars);
            Some(text).filter(|text| !text.is_empty())
        };
        let mut event = format!(
            "Something other than the instance metadata service (IMDS) answered at {}: status {}",
            self.endpoint, response.status
        );
        if (300..400).contains(&response.status) {
            event.push_str(", a redirect, which is never followed");
        }
        if let Some(server) = response
            .headers
            .server
            .as_deref()
            .and_then(|name| redact(name, MAX_ID_CHARS))
        {
            event = format!("{event}, Server: {server}");
        }
        let text = body_start(response);
        // The markup of an HTML page would fill the message.
        let quotation = quotable_body(response, &text).filter(|_| !is_html(response));
        if let Some(quotation) = quotation.and_then(|text| redact(text, MAX_QUOTED_CHARS)) {
            event = format!("{event}, {}", quotation.trim_end_matches('.'));
        }
        let message = format_message(&event, attempts, self.unreachable_remedy);
        self.error(Code::FailedResponse, message, attempts)
            .map_details(|details| {
                details.status = Some(response.status);
                details.retryable = retryable;
                details.unavailable = true;
            })
    }

    /// Returns the error for a probe without a response.
    pub fn probe_timeout(&self, waited: Duration) -> Error {
        let message = format!(
            "{} did not respond to a probe within {} ms. {}",
            self.subject(),
            waited.as_millis(),
            self.unreachable_remedy
        );
        self.error(Code::UnreachableNetwork, message, 0)
            .map_details(|details| {
                details.retryable = true;
                details.unavailable = true;
            })
    }
}
