//! Long responses: parsed and redacted on a thread of the pool, since that takes milliseconds in which the network
//! thread could neither carry another exchange nor fire a timer.

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::client::TokenClient;
use super::task::AcquisitionTask;
use crate::http::Response;
use crate::http::timer::timeout_at;
use crate::source::TokenResponse;

/// A body of up to so many bytes is read on the network thread. The errors of the known services have less. Redacting so
/// much takes 0.1 ms, and 0.4 ms where the text is made to be hard to decode; a thread of the pool is another 0.1 ms away.
pub(super) const MAX_IN_PLACE_BYTES: usize = 2_048;
/// How long the pool may take. Reading a body of 1 MiB takes some 10 ms, so that only a pool that is full takes longer.
pub(super) const EXAMINATION_TIMEOUT: Duration = Duration::from_secs(1);

impl TokenClient {
    /// Runs `work` on a response: in place if its body is short, otherwise on a thread of the pool. Returns `None` if
    /// the pool has no result within the limit.
    ///
    /// `place` is the endpoint: one that sends long responses without end delays its own callers only.
    pub(super) async fn examine<T: Send + 'static>(
        &self,
        place: &str,
        response: Arc<Response>,
        limit: Duration,
        work: impl FnOnce(&Response) -> T + Send + 'static,
    ) -> Option<T> {
        if response.body.len() <= MAX_IN_PLACE_BYTES {
            return Some(work(&response));
        }
        let until = Instant::now() + limit;
        let worked = self.platform.blocking.run(place, move || work(&response));
        timeout_at(until, worked).await.flatten()
    }
}

impl AcquisitionTask {
    /// Parses a body. A token must not be lost because the pool is full, so the body is then parsed in place.
    pub(super) async fn read_token_response(&self, response: &mut Response) -> Option<TokenResponse> {
        if response.body.len() <= MAX_IN_PLACE_BYTES {
            return TokenResponse::parse(&response.body);
        }
        let body = Arc::new(take(&mut response.body));
        let (place, limit) = (
            self.in_flight.error_context.endpoint(),
            self.examination_timeout(),
        );
        let parsed = {
            let body = body.clone();
            let parsing = self
                .client
                .platform
                .blocking
                .run(place, move || TokenResponse::parse(&body));
            timeout_at(Instant::now() + limit, parsing).await.flatten()
        };
        let token_response = parsed.unwrap_or_else(|| TokenResponse::parse(&body));
        response.body = Arc::unwrap_or_clone(body);
        token_response
    }

    /// How long the pool may take: half of the time that the callers have left, so that they learn of an error.
    pub(super) fn examination_timeout(&self) -> Duration {
        EXAMINATION_TIMEOUT.min(self.in_flight.deadline.remaining() / 2)
    }
}
