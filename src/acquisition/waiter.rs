//! One caller of an in-flight request.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::in_flight::{Completion, InFlightRequest, Status};
use super::outcome::{AcquiredToken, AcquisitionResult};
use crate::error::Error;
use crate::http::timer::timeout_at;
use crate::metadata::{CacheRefreshReason, Metadata, TokenSource};
use crate::platform::Clock;
use crate::source::SourceName;
use crate::token::WallClocks;

/// How long a caller with a token near expiry waits for a new one, counted from the start of the request.
const NEAR_EXPIRY_WAIT: Duration = Duration::from_secs(2);

/// A caller that waits for an in-flight request, with its own timeout. Dropping the waiter removes the caller.
pub struct Waiter {
    request: Arc<InFlightRequest>,
    timeout: Duration,
    started_at: Instant,
    /// A valid token from the cache, returned instead of an error or a long wait.
    fallback: Option<AcquiredToken>,
    tenant: Option<String>,
    clock: Arc<dyn Clock>,
    called_at: WallClocks,
}

impl InFlightRequest {
    /// Adds a waiter with its own timeout. `fallback` is returned instead of an error or a long wait.
    pub fn add_waiter(
        self: &Arc<Self>,
        total: Duration,
        fallback: Option<AcquiredToken>,
        tenant: Option<String>,
        (clock, called_at): (Arc<dyn Clock>, WallClocks),
    ) -> Waiter {
        self.deadline.extend_to(total);
        self.waiters.join();
        Waiter {
            request: self.clone(),
            timeout: total,
            started_at: Instant::now(),
            fallback,
            tenant,
            clock,
            called_at,
        }
    }
}

impl Waiter {
    /// Returns the source that the request is sent to.
    pub fn source(&self) -> SourceName {
        self.request.error_context.source()
    }

    /// Returns whether the endpoint's certificate is verified against the root certificates of this process.
    pub fn is_verified(&self) -> bool {
        let error_context = &self.request.error_context;
        error_context.endpoint().starts_with("https:") && error_context.source() != SourceName::ServiceFabric
    }

    /// Waits for the result, at most until the timeout. With a fallback token it waits at most `NEAR_EXPIRY_WAIT`.
    pub async fn wait(self) -> AcquisitionResult {
        let outcome = self.wait_for_result().await.and_then(|acquired| {
            let error_context = &self.request.error_context;
            acquired.check_tenant(self.tenant.as_deref(), error_context)?;
            Ok(acquired)
        });
        match outcome {
            Ok(mut acquired) => {
                acquired.metadata = self.metadata(acquired.metadata.token_source);
                Ok(acquired)
            }
            Err(error) => Err(error.map_details(|details| details.metadata = Some(self.metadata(None)))),
        }
    }

    fn metadata(&self, token_source: Option<TokenSource>) -> Metadata {
        let mut metadata = Metadata {
            token_source,
            total_time: self.started_at.elapsed(),
            ..self.request.metadata()
        };
        if token_source == Some(TokenSource::Cache) && metadata.attempts == 0 {
            metadata.cache_refresh_reason = CacheRefreshReason::NotApplicable;
        }
        metadata
    }

    async fn wait_for_result(&self) -> AcquisitionResult {
        let deadline = self.started_at + self.timeout;
        let mut changes = self.request.subscribe();
        loop {
            let Status {
                fallback,
                token,
                completion,
            } = changes.borrow_and_update().clone();
            if let Some(Completion::Finished(Ok(acquired))) = completion {
                return Ok(acquired);
            }
            let fallback = [&self.fallback, &fallback]
                .into_iter()
                .flatten()
                .find(|acquired| self.is_valid(acquired));
            let until = fallback.map_or(deadline, |_| {
                deadline.min(self.request.started_at() + NEAR_EXPIRY_WAIT)
            });
            // The sender is part of the request, which this waiter holds, so the channel is not closed.
            if completion.is_none() && timeout_at(until, changes.changed()).await.is_some() {
                continue;
            }
            // If the fallback has expired in the meantime, the caller waits until its own timeout.
            let mut acquired = [token.as_ref(), fallback].into_iter().flatten();
            match acquired.find(|acquired| self.is_valid(acquired)) {
                Some(acquired) => return Ok(acquired.clone()),
                None => match completion {
                    Some(Completion::Finished(failed)) => return failed,
                    Some(Completion::TimedOut) => return Err(self.timeout_error()),
                    None if until == deadline => return Err(self.timeout_error()),
                    None => {}
                },
            }
        }
    }

    fn is_valid(&self, acquired: &AcquiredToken) -> bool {
        acquired.token.is_valid(self.called_at.when(self.clock.now()))
    }

    fn timeout_error(&self) -> Error {
        self.request
            .error_context
            .timed_out(self.timeout, &self.request.stats)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.request.waiters.leave();
    }
}
