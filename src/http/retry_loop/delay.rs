//! Whether there is another try, and after how long: the policy, the caller's options and what was spent already.

use std::time::Duration;

use super::{AttemptOutcome, RetryLoop};
use crate::http::retry_policy::{Backoff, RetryLimit, RetryOptions, with_jitter};
use crate::http::{Response, TransportErrorKind};

/// How an identity that is not found is asked for again, by callers who expect it to appear.
const IDENTITY_NOT_FOUND_BACKOFF: Backoff =
    Backoff::Exponential(Duration::from_secs(1), Duration::from_secs(10));

/// How many retries of each sort were made.
#[derive(Default)]
pub(super) struct RetryCounts {
    status: u32,
    endpoint_starting: u32,
    transient: u32,
    identity_not_found: u32,
    /// Whether an exchange was too slow, and none that is too slow would be tried again.
    pub(super) is_last: bool,
}

impl RetryCounts {
    /// How many retries were made that a policy counts.
    fn policy_retries(&self) -> u32 {
        self.status + self.endpoint_starting + self.transient
    }
}

impl RetryLoop<'_> {
    /// How long to wait before the next try; `None` if this was the last.
    pub(super) fn next_delay(&self, end: &AttemptOutcome, spent: &mut RetryCounts) -> Option<Duration> {
        let policy = self.policy?;
        let table = RetryOptions::default();
        let (mut options, mut by_policy) = (&self.retry_options, spent.policy_retries());
        let (budget, count, asked_for) = match end {
            AttemptOutcome::Response(response) => {
                let asked_for = self.retry_after(response);
                let (budget, count) = if let Some(within) = self.identity_retry_window(response) {
                    // The caller has asked for these by themselves.
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
                // An endpoint that starts has a budget of its own; all other faults share one.
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
            RetryLimit::Window(..) => !options.fill_the_window(retry),
        };
        if !is_allowed || options.are_used_up(by_policy) {
            return None;
        }
        let (RetryLimit::Attempts(_, wait) | RetryLimit::Window(_, wait)) = budget;
        let wait = match asked_for.filter(|asked_for| *asked_for >= wait.delay_before_retry(retry)) {
            // What the endpoint asks for is waited out or not at all.
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
            let is_last = retry + 1 >= most || options.are_used_up(by_policy + 1);
            spent.is_last |= fault.kind == TransportErrorKind::RequestTimeout && is_last;
        }
        (in_time && self.deadline.allows(wait)).then_some(wait)
    }

    /// For how long, since the first try, an identity that is not found is asked for again.
    fn identity_retry_window(&self, response: &Response) -> Option<Duration> {
        let awaited = self.identity_not_found?;
        (awaited.is_missing)(response).then_some(awaited.window)
    }
}
