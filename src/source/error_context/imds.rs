//! Errors about IMDS's default address, where something else may answer, or nothing.

use std::time::Duration;

use super::{NAME, Report, WORDS, beginning, quotable, sentences};
use crate::error::{Code, Error};
use crate::http::Response;
use crate::source::imds_evidence::is_html;
use crate::token::Secret;

impl Report {
    /// Something other than IMDS has answered at IMDS's default address. `earlier` as in [`Report::refusal`].
    pub fn foreign(
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
            .and_then(|name| shown(name, NAME))
        {
            what = format!("{what}, Server: {server}");
        }
        let text = beginning(response);
        // A page for people would fill the message with its markup.
        let words = quotable(response, &text).filter(|_| !is_html(response));
        if let Some(words) = words.and_then(|words| shown(words, WORDS)) {
            what = format!("{what}, {}", words.trim_end_matches('.'));
        }
        let message = sentences(&what, attempts, self.off_azure);
        self.error(Code::FailedResponse, message, attempts).with(|facts| {
            facts.status = Some(response.status);
            facts.retryable = retryable;
            facts.unavailable = true;
        })
    }

    /// A probe was not answered.
    pub fn no_answer(&self, waited: Duration) -> Error {
        let message = format!(
            "{} did not answer a probe within {} ms. {}",
            self.subject(),
            waited.as_millis(),
            self.off_azure
        );
        self.error(Code::UnreachableNetwork, message, 0).with(|facts| {
            facts.retryable = true;
            facts.unavailable = true;
        })
    }
}
