//! Whether a response is for the resource that was asked for, and the names that endpoints have for resources besides.

use super::task::{AcquisitionTask, Stop};
use crate::error::Error;
use crate::http::retry_loop::{AttemptOutcome, RetryLoop};
use crate::http::{Request, is_success};
use crate::source::{TokenResponse, is_other_resource};

impl AcquisitionTask {
    /// Sends a request, and once more over a new connection if its response is for another resource. Returns the end
    /// with the body of a successful response, parsed.
    pub(super) async fn run_checked(
        &self,
        retry_loop: &RetryLoop<'_>,
        mut request: Request,
    ) -> Result<(AttemptOutcome, Option<TokenResponse>), Stop> {
        let mut end = self.run_retry_loop(retry_loop, &request).await;
        let token_response = self.successful_response(&mut end).await;
        // A caller's own client answers for itself.
        let is_native = retry_loop.transport.id() == self.client.native_transport.id();
        let Some(first) = self
            .mismatched_resource(token_response.as_ref())
            .filter(|_| is_native)
        else {
            return Ok((end, token_response));
        };
        // A stray response, or the endpoint's own spelling. A new connection tells: nothing stray can be on it.
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

    /// The resource that a successful response names, if it is another than the one that was asked for, and not known
    /// as this endpoint's name for it.
    fn mismatched_resource(&self, token_response: Option<&TokenResponse>) -> Option<String> {
        let token_response = token_response?;
        let (asked, named) = (self.context.query.resource.as_str(), token_response.resource()?);
        let endpoint = self.in_flight.error_context.endpoint();
        let is_other =
            is_other_resource(asked, named) && !self.client.resource_aliases.contains(endpoint, asked, named);
        is_other.then(|| named.to_owned())
    }

    fn remember_alias(&self, named: String) {
        let endpoint = self.in_flight.error_context.endpoint();
        let asked = self.context.query.resource.as_str();
        self.client.resource_aliases.insert(endpoint, asked, named);
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
