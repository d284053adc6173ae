//! The check that a response is for the requested resource. It allows for endpoints that use another name for it.

use super::task::{AcquisitionTask, Stop};
use crate::error::Error;
use crate::http::retry_loop::{AttemptOutcome, RetryLoop};
use crate::http::{Request, is_success};
use crate::source::{TokenResponse, is_other_resource};

impl AcquisitionTask {
    /// Sends a request, and repeats it over a new connection if the response is for another resource. Returns the
    /// outcome, and the parsed body of a successful response.
    pub(super) async fn run_checked(
        &self,
        retry_loop: &RetryLoop<'_>,
        mut request: Request,
    ) -> Result<(AttemptOutcome, Option<TokenResponse>), Stop> {
        let mut end = self.run_retry_loop(retry_loop, &request).await;
        let token_response = self.successful_response(&mut end).await;
        // A custom network client is responsible for its own connections.
        let is_native = retry_loop.transport.id() == self.client.native_transport.id();
        let Some(first) = self
            .mismatched_resource(token_response.as_ref())
            .filter(|_| is_native)
        else {
            return Ok((end, token_response));
        };
        // The response belongs to another request, or the endpoint uses another name for the resource. A new connection
        // cannot carry the response of another request.
        drop(end);
        request.needs_new_connection = true;
        let mut end = self.run_retry_loop(retry_loop, &request).await;
        let token_response = self.successful_response(&mut end).await;
        match self.mismatched_resource(token_response.as_ref()) {
            Some(second) if is_other_resource(&first, &second) => {
                return Err(Stop::Failed(self.resource_mismatch_error(end).await));
            }
            Some(_) => self.remember_alias(first),
            None => {}
        }
        Ok((end, token_response))
    }

    /// Parses the body of a successful response.
    async fn successful_response(&self, end: &mut AttemptOutcome) -> Option<TokenResponse> {
        let AttemptOutcome::Response(response) = end else {
            return None;
        };
        if !is_success(response.status) {
            return None;
        }
        self.read_token_response(response).await
    }

    /// Returns the resource that a response names, if it is neither the requested one nor a known alias of it.
    fn mismatched_resource(&self, token_response: Option<&TokenResponse>) -> Option<String> {
        let token_response = token_response?;
        let (requested, name) = (self.context.query.resource.as_str(), token_response.resource()?);
        let endpoint = self.in_flight.error_context.endpoint();
        let is_mismatch = is_other_resource(requested, name)
            && !self.client.resource_aliases.contains(endpoint, requested, name);
        is_mismatch.then(|| name.to_owned())
    }

    fn remember_alias(&self, alias: String) {
        let endpoint = self.in_flight.error_context.endpoint();
        let requested = self.context.query.resource.as_str();
        self.client.resource_aliases.insert(endpoint, requested, alias);
    }

    async fn resource_mismatch_error(&self, end: AttemptOutcome) -> Error {
        match end {
            AttemptOutcome::Response(response) => self.in_flight.error_context.unusable_response(
                "it returned tokens for resources other than the requested one, each time for a different resource",
                &response,
                self.in_flight.stats.attempts(),
            ),
            end => self.error_from_end(end).await,
        }
    }
}
