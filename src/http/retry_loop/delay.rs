//! Decides whether an attempt is retried and after which delay, from the policy, the caller's options and the retries so
//! far.

use std::time::Duration;

use super::{AttemptOutcome, RetryLoop};
use crate::http::retry_policy::{Backoff, RetryLimit, RetryOptions, with_jitter};
use crate::http::{Response, TransportErrorKind};

/// The delays between requests for an identity that is not found, if the caller expects that it will appear.
const IDENTITY_NOT_FOUND_BACKOFF: Backoff =
    Backoff::Exponential(Duration::from_secs(1), Duration::from_secs(10));

/// The number of retries so far, by their reason.
#[derive(Default)]
pub(super) struct RetryCounts {
    status: u32,
    endpoint_starting: u32,
    transient: u32,
    identity_not_found: u32,
    /// Whether an exchange timed out and the policy allows no retry after another timeout.
    pub(super) is_last: bool,
}

impl RetryCounts {
    /// Returns the number of retries that count towards the limits of a policy.
    fn policy_retries(&self) -> u32 {
        self.status + self.endpoint_starting + self.transient
    }
}

impl RetryLoop<'_> {
    /// Returns the delay before the next attempt; `None` if the outcome is final.
    pub(super) fn next_delay(&self, end: &AttemptOutcome, counts: &mut RetryCounts) -> Option<Duration> {
        let policy = self.policy?;
        let no_options = RetryOptions::default();
        let (mut options, mut policy_retries) = (&self.retry_options, counts.policy_retries());
        let (limit, count, retry_after) = match end {
            AttemptOutcome::Response(response) => {
                let retry_after = self.retry_after(response);
                let (limit, count) = if let Some(window) = self.identity_retry_window(response) {
                    // An option of its own enables these retries, so `maxRetries` does not limit them.
                    (options, policy_retries) = (&no_options, 0);
                    (
                        RetryLimit::Window(window, IDENTITY_NOT_FOUND_BACKOFF),
                        &mut counts.identity_not_found,
                    )
                } else {
                    let limit = policy.after_status(response.status, retry_after.is_some(), options)?;
                    (limit, &mut counts.status)
                };
                (limit, count, retry_after)
            }
            AttemptOutcome::TransportError(error) => {
                let limit = policy.after_error(error.kind, options)?;
                // Retries of a starting endpoint are counted by themselves; all other transport errors share a count.
                let count = match limit {
                    RetryLimit::Window(..) => &mut counts.endpoint_starting,
                    RetryLimit::Attempts(..) => &mut counts.transient,
                };
                (limit, count, None)
            }
            AttemptOutcome::BlockedByRetryAfter(_)
            | AttemptOutcome::ChallengeFailed(_)
            | AttemptOutcome::Unattended => return None,
        };
        let retry = *count;
        *count += 1;
        let is_allowed = match limit {
            RetryLimit::Attempts(max, _) => retry < max,
            RetryLimit::Window(..) => !options.exceed_window_limit(retry),
        };
        if !is_allowed || options.are_exhausted(policy_retries) {
            return None;
        }
        let (RetryLimit::Attempts(_, backoff) | RetryLimit::Window(_, backoff)) = limit;
        let delay = match retry_after.filter(|retry_after| *retry_after >= backoff.delay_before_retry(retry))
        {
            // The delay of a `Retry-After` is never shortened: the loop waits for all of it or gives up.
            Some(retry_after) if options.max_delay.is_some_and(|max| retry_after > max) => return None,
            Some(retry_after) => with_jitter(retry_after, self.random_fraction()),
            None => backoff.jittered_delay(retry, self.random_fraction()),
        };
        let delay = delay.min(options.max_delay.unwrap_or(Duration::MAX));
        let is_in_window = match limit {
            RetryLimit::Attempts(..) => true,
            RetryLimit::Window(window, _) => {
                let is_first_after_error = retry == 0 && matches!(end, AttemptOutcome::TransportError(_));
                // A connection that is lost late, as by a slow endpoint or on a busy machine, is retried once, like a
                // timeout.
                let elapsed = if is_first_after_error {
                    Duration::ZERO
                } else {
                    self.stats.since_first_attempt()
                };
                elapsed + delay <= window
            }
        };
        if let (AttemptOutcome::TransportError(error), RetryLimit::Attempts(max, _)) = (end, limit) {
            let is_last = retry + 1 >= max || options.are_exhausted(policy_retries + 1);
            counts.is_last |= error.kind == TransportErrorKind::RequestTimeout && is_last;
        }
        (is_in_window && self.deadline.allows(delay)).then_some(delay)
    }

    /// Returns how long after the first attempt this response may be retried, if it says that the identity is not found.
    fn identity_retry_window(&self, response: &Response) -> Option<Duration> {
        let retry = self.identity_not_found?;
        (retry.is_missing)(response).then_some(retry.window)
    }
}
