//! Whether there is another try, and after how long: the policy, the caller's options and what was spent already.

use std::time::Duration;

use super::retry_loop::{Chain, End};
use super::retry_policy::{Budget, RetryOptions, Wait, spread};
use super::{FaultKind, Response};

/// How an identity that is not found is asked for again, by callers who expect it to appear.
const ASSIGNING: Wait = Wait::Doubling(Duration::from_secs(1), Duration::from_secs(10));

/// How many retries of each sort were made.
#[derive(Default)]
pub(super) struct Spent {
    statuses: u32,
    starting: u32,
    lost: u32,
    assigning: u32,
    /// Whether an exchange was too slow, and none that is too slow would be tried again.
    pub(super) is_last: bool,
}

impl Spent {
    /// How many retries were made that a policy counts.
    fn by_policy(&self) -> u32 {
        self.statuses + self.starting + self.lost
    }
}

impl Chain<'_> {
    /// How long to wait before the next try; `None` if this was the last.
    pub(super) fn wait_after(&self, end: &End, spent: &mut Spent) -> Option<Duration> {
        let policy = self.policy?;
        let table = RetryOptions::default();
        let (mut options, mut by_policy) = (&self.retry_options, spent.by_policy());
        let (budget, count, asked_for) = match end {
            End::Answer(answer) => {
                let asked_for = self.asked_for(answer);
                let (budget, count) = if let Some(within) = self.awaits(answer) {
                    // The caller has asked for these by themselves.
                    (options, by_policy) = (&table, 0);
                    (Budget::Within(within, ASSIGNING), &mut spent.assigning)
                } else {
                    let budget = policy.after_status(answer.status, asked_for.is_some(), options)?;
                    (budget, &mut spent.statuses)
                };
                (budget, count, asked_for)
            }
            End::Fault(fault) => {
                let budget = policy.after_fault(fault.kind, options)?;
                // An endpoint that starts has a budget of its own; all other faults share one.
                let count = match budget {
                    Budget::Within(..) => &mut spent.starting,
                    Budget::Count(..) => &mut spent.lost,
                };
                (budget, count, None)
            }
            End::Paused(_) | End::Stopped(_) | End::Unattended => return None,
        };
        let retry = *count;
        *count += 1;
        let is_allowed = match budget {
            Budget::Count(most, _) => retry < most,
            Budget::Within(..) => !options.fill_the_window(retry),
        };
        if !is_allowed || options.are_used_up(by_policy) {
            return None;
        }
        let (Budget::Count(_, wait) | Budget::Within(_, wait)) = budget;
        let wait = match asked_for.filter(|asked_for| *asked_for >= wait.before(retry)) {
            // What the endpoint asks for is waited out or not at all.
            Some(asked_for) if options.max_delay.is_some_and(|most| asked_for > most) => return None,
            Some(asked_for) => spread(asked_for, self.fraction()),
            None => wait.jittered(retry, self.fraction()),
        };
        let wait = wait.min(options.max_delay.unwrap_or(Duration::MAX));
        let in_time = match budget {
            Budget::Count(..) => true,
            Budget::Within(limit, _) => self.progress.since_first_try() + wait <= limit,
        };
        if let (End::Fault(fault), Budget::Count(most, _)) = (end, budget) {
            let is_last = retry + 1 >= most || options.are_used_up(by_policy + 1);
            spent.is_last |= fault.kind == FaultKind::RequestTimeout && is_last;
        }
        (in_time && self.deadline.holds(wait)).then_some(wait)
    }

    /// For how long, since the first try, an identity that is not found is asked for again.
    fn awaits(&self, answer: &Response) -> Option<Duration> {
        let awaited = self.awaited?;
        (awaited.is_missing)(answer).then_some(awaited.within)
    }
}
