//! Parsing and redaction of long responses on the blocking pool: it takes milliseconds, for which it would delay every
//! other exchange and timer of the network thread.

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::client::TokenClient;
use super::task::AcquisitionTask;
use crate::http::Response;
use crate::http::timer::timeout_at;
use crate::source::TokenResponse;

/// The longest body that is processed on the network thread. The errors of the known services are shorter. Redacting this
/// many bytes takes 0.1 ms, and 0.4 ms for a text that is crafted to be hard to decode. Handing work to the pool takes
/// 0.1 ms.
pub(super) const MAX_IN_PLACE_BYTES: usize = 2_048;
/// The time limit of work on the pool. Parsing a body of 1 MiB takes about 10 ms, so only a full pool takes longer.
pub(super) const EXAMINATION_TIMEOUT: Duration = Duration::from_secs(1);

impl TokenClient {
    /// Runs `work` on a response: in place if its body is short, otherwise on the blocking pool. Returns `None` if the
    /// pool has no result within the limit.
    ///
    /// Work is queued by endpoint, so that an endpoint that sends many long responses delays its own callers only.
    pub(super) async fn examine<T: Send + 'static>(
        &self,
        endpoint: &str,
        response: Arc<Response>,
        limit: Duration,
        work: impl FnOnce(&Response) -> T + Send + 'static,
    ) -> Option<T> {
        if response.body.len() <= MAX_IN_PLACE_BYTES {
            return Some(work(&response));
        }
        let until = Instant::now() + limit;
        let working = self.platform.blocking.run(endpoint, move || work(&response));
        timeout_at(until, working).await.flatten()
    }
}

impl AcquisitionTask {
    /// Parses a body. If the pool is full, the body is parsed in place, so that the token is not lost.
    pub(super) async fn read_token_response(&self, response: &mut Response) -> Option<TokenResponse> {
        if response.body.len() <= MAX_IN_PLACE_BYTES {
            return TokenResponse::parse(&response.body);
        }
        let body = Arc::new(take(&mut response.body));
        let (endpoint, limit) = (
            self.in_flight.error_context.endpoint(),
            self.examination_timeout(),
        );
        let parsed = {
            let body = body.clone();
            let parsing = self
                .client
                .platform
                .blocking
                .run(endpoint, move || TokenResponse::parse(&body));
            timeout_at(Instant::now() + limit, parsing).await.flatten()
        };
        let token_response = parsed.unwrap_or_else(|| TokenResponse::parse(&body));
        response.body = Arc::unwrap_or_clone(body);
        token_response
    }

    /// Returns the time limit of work on the pool: at most half of the callers' remaining time, so that they still
    /// receive the error.
    pub(super) fn examination_timeout(&self) -> Duration {
        EXAMINATION_TIMEOUT.min(self.in_flight.deadline.remaining() / 2)
    }
}
