//! Errors about IMDS's default address, where something else may answer, or nothing.

use std::time::Duration;

use super::{ErrorContext, MAX_ID_CHARS, MAX_QUOTED_CHARS, body_start, format_message, quotable_body};
use crate::error::{Code, Error};
use crate::http::Response;
use crate::source::imds_evidence::is_html;
use crate::token::Secret;

impl ErrorContext {
    /// Something other than IMDS has answered at IMDS's default address. `earlier` as in [`ErrorContext::response_error`].
    pub fn foreign_response(
        &self,
        response: &Response,
        earlier: Option<&Secret>,
        attempts: u32,
        retryable: bool,
    ) -> Error {
        self.add_secrets(response.secrets.iter().chain(earlier).cloned());
        let redactor = self.known_secrets.redactor();
        let shown = |text: &str, most| {
            let text = redactor.redact(text, most);
            Some(text).filter(|text| !text.is_empty())
        };
        let mut what = format!(
            "Something other than the instance metadata service (IMDS) answered at {}: status {}",
            self.endpoint, response.status
        );
        if (300..400).contains(&response.status) {
            what.push_str(", a redirect, which is never followed");
        }
        if let Some(server) = response
            .headers
            .server
            .as_deref()
            .and_then(|name| shown(name, MAX_ID_CHARS))
        {
            what = format!("{what}, Server: {server}");
        }
        let text = body_start(response);
        // A page for people would fill the message with its markup.
        let words = quotable_body(response, &text).filter(|_| !is_html(response));
        if let Some(words) = words.and_then(|words| shown(words, MAX_QUOTED_CHARS)) {
            what = format!("{what}, {}", words.trim_end_matches('.'));
        }
        let message = format_message(&what, attempts, self.unreachable_remedy);
        self.error(Code::FailedResponse, message, attempts)
            .map_details(|details| {
                details.status = Some(response.status);
                details.retryable = retryable;
                details.unavailable = true;
            })
    }

    /// A probe was not answered.
    pub fn probe_timeout(&self, waited: Duration) -> Error {
        let message = format!(
            "{} did not answer a probe within {} ms. {}",
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
