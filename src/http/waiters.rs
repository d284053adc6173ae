//! The callers that wait for what a series of requests brings. When the last of them has left, nothing further begins.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How many callers wait.
#[derive(Debug)]
pub struct Waiters {
    count: AtomicUsize,
    /// The first has joined, or the last has left.
    changed: Notify,
    /// Until when the retry loop goes on without any: it is a background refresh.
    background_until: Option<Instant>,
}

impl Waiters {
    /// Without callers; a background refresh goes on until this instant all the same.
    pub fn new(background_until: Option<Instant>) -> Self {
        Self {
            count: AtomicUsize::new(0),
            changed: Notify::new(),
            background_until,
        }
    }

    /// One more waits.
    pub fn join(&self) {
        if self.count.fetch_add(1, Ordering::AcqRel) == 0 {
            self.changed.notify_waiters();
        }
    }

    /// One no longer waits.
    pub fn leave(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.changed.notify_waiters();
        }
    }

    /// Whether a retry loop that is under way has nothing to go on for.
    pub fn have_left(&self) -> bool {
        self.waiting() == 0 && !self.is_background()
    }

    /// Waits until a background refresh has had its time, and the last has left.
    pub async fn all_left(&self) {
        if let Some(until) = self.background_until {
            // A sleep would do as well, were it not over at once in the tests of fuzz/schedules.
            let _ = timeout_at(until, pending::<()>()).await;
        }
        self.wait_for(|count| count == 0).await;
    }

    /// Waits until there is a caller.
    pub async fn any_joined(&self) {
        self.wait_for(|count| count > 0).await;
    }

    /// What a wait brings; `None` when the last has left before its end.
    pub async fn unless_left<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.all_left() => None,
            ended = wait => Some(ended),
        }
    }

    async fn wait_for(&self, holds: impl Fn(usize) -> bool) {
        loop {
            // Made before the look at the count: it is told of every change from here on.
            let changed = self.changed.notified();
            if holds(self.waiting()) {
                return;
            }
            changed.await;
        }
    }

    fn waiting(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    fn is_background(&self) -> bool {
        self.background_until.is_some_and(|until| until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn wait_ends_when_the_last_waiter_leaves() {
        let started = Instant::now();
        let waiters = Waiters::new(None);
        assert!(waiters.have_left());
        waiters.join();
        waiters.join();
        assert_eq!(waiters.unless_left(sleep(SECOND)).await, Some(()));
        waiters.leave();
        assert!(!waiters.have_left());
        let leaving = async {
            sleep(SECOND).await;
            waiters.leave();
        };
        let (waited, ()) = tokio::join!(waiters.unless_left(sleep(SECOND * 9)), leaving);
        assert_eq!((waited, started.elapsed()), (None, SECOND * 2));
        assert!(waiters.have_left());
    }

    #[tokio::test(start_paused = true)]
    async fn background_refresh_continues_until_its_timeout() {
        let started = Instant::now();
        let waiters = Waiters::new(Some(started + SECOND * 5));
        assert!(!waiters.have_left());
        waiters.join();
        waiters.leave();
        assert_eq!(waiters.unless_left(sleep(SECOND * 9)).await, None);
        assert_eq!(started.elapsed(), SECOND * 5);
        // A caller who joined at its end keeps it going.
        let waiters = Waiters::new(Some(Instant::now() + SECOND));
        let joining = async {
            sleep(SECOND / 2).await;
            waiters.join();
        };
        let (waited, ()) = tokio::join!(waiters.unless_left(sleep(SECOND * 9)), joining);
        assert_eq!(waited, Some(()));
    }
}
