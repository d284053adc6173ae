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
    pub(super) fn next_delay(&self, end: &AttemptOutcome, spent: &mut RetryCounts) -> Option<Duration> {
        let policy = self.policy?;
        let table = RetryOptions::default();
        let (mut options, mut by_policy) = (&self.retry_options, spent.policy_retries());
        let (budget, count, asked_for) = match end {
            AttemptOutcome::Response(response) => {
                let asked_for = self.retry_after(response);
                let (budget, count) = if let Some(within) = self.identity_retry_window(response) {
                    // An option of its own enables these retries, so `maxRetries` does not limit them.
                    (options, by_policy) = (&table, 0);
                    (
                        RetryLimit::Window(within, IDENTITY_NOT_FOUND_BACKOFF),
                        &mut spent.identity_not_found,
                    )
                } else {
                    let budget = policy.after_status(response.status, asked_for.is_some(), options)?;
                    (budget, &mut spent.status)
                };
                (budget, count, asked_for)
            }
            AttemptOutcome::TransportError(fault) => {
                let budget = policy.after_error(fault.kind, options)?;
                // Retries of a starting endpoint are counted by themselves; all other transport errors share a count.
                let count = match budget {
                    RetryLimit::Window(..) => &mut spent.endpoint_starting,
                    RetryLimit::Attempts(..) => &mut spent.transient,
                };
                (budget, count, None)
            }
            AttemptOutcome::BlockedByRetryAfter(_)
            | AttemptOutcome::ChallengeFailed(_)
            | AttemptOutcome::Unattended => return None,
        };
        let retry = *count;
        *count += 1;
        let is_allowed = match budget {
            RetryLimit::Attempts(most, _) => retry < most,
            RetryLimit::Window(..) => !options.exceed_window_limit(retry),
        };
        if !is_allowed || options.are_exhausted(by_policy) {
            return None;
        }
        let (RetryLimit::Attempts(_, wait) | RetryLimit::Window(_, wait)) = budget;
        let wait = match asked_for.filter(|asked_for| *asked_for >= wait.delay_before_retry(retry)) {
            // The delay of a `Retry-After` is never shortened: the loop waits for all of it or gives up.
            Some(asked_for) if options.max_delay.is_some_and(|most| asked_for > most) => return None,
            Some(asked_for) => with_jitter(asked_for, self.random_fraction()),
            None => wait.jittered_delay(retry, self.random_fraction()),
        };
        let wait = wait.min(options.max_delay.unwrap_or(Duration::MAX));
        let in_time = match budget {
            RetryLimit::Attempts(..) => true,
            RetryLimit::Window(limit, _) => self.stats.since_first_attempt() + wait <= limit,
        };
        if let (AttemptOutcome::TransportError(fault), RetryLimit::Attempts(most, _)) = (end, budget) {
            let is_last = retry + 1 >= most || options.are_exhausted(by_policy + 1);
            spent.is_last |= fault.kind == TransportErrorKind::RequestTimeout && is_last;
        }
        (in_time && self.deadline.allows(wait)).then_some(wait)
    }

    /// Returns how long after the first attempt this response may be retried, if it says that the identity is not found.
    fn identity_retry_window(&self, response: &Response) -> Option<Duration> {
        let awaited = self.identity_not_found?;
        (awaited.is_missing)(response).then_some(awaited.window)
    }
}
