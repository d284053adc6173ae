//! A timeout that takes effect only after data that has already arrived was read.
//!
//! After a process was suspended, its timers are due, and responses may have arrived meanwhile. Tokio may fire the timers
//! first: the signal that resumes the process interrupts the wait for I/O events.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::task::yield_now;
use tokio::time::{self, Instant};

/// How often a timer that is due yields to the I/O driver and to other tasks. The first round reads the socket; the
/// others let the result pass from task to task.
const ROUNDS: usize = 8;

/// Awaits a future until an instant; `None` if it is not ready after the data that had arrived by then was read.
pub async fn timeout_at<F: Future>(at: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    if let Ok(output) = time::timeout_at(at, future.as_mut()).await {
        return Some(output);
    }
    for _ in 0..ROUNDS {
        yield_now().await;
        if let Poll::Ready(output) = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await {
            return Some(output);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::{mpsc, oneshot};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn timer_is_exact_without_other_work() {
        let started = Instant::now();
        let limit = Duration::from_secs(1);
        let silent = timeout_at(started + limit, std::future::pending::<()>()).await;
        assert_eq!((silent, started.elapsed()), (None, limit));
        let late = timeout_at(started, std::future::ready("ready")).await;
        assert_eq!((late, started.elapsed()), (Some("ready"), limit));
    }

    #[tokio::test(start_paused = true)]
    async fn timer_yields_to_results_ready_at_its_deadline() {
        let due = Instant::now() + Duration::from_secs(1);
        let (first, mut relayed) = mpsc::channel(1);
        let (last, result) = oneshot::channel();
        tokio::spawn(async move {
            time::sleep_until(due).await;
            first.send(()).await
        });
        tokio::spawn(async move {
            relayed.recv().await;
            last.send("relayed")
        });
        assert_eq!(timeout_at(due, result).await, Some(Ok("relayed")));
        assert_eq!(Instant::now(), due);
    }
}
