//! A bounded pool of threads for blocking calls, mostly file access, because a file system can hang.
//!
//! All timers run on the network thread, so a call that blocks there would delay them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::locking::lock;

/// The most threads in blocking calls at one time.
pub const MAX_BLOCKING_THREADS: usize = 8;

/// Runs blocking calls on at most [`MAX_BLOCKING_THREADS`] threads, and those of one queue one after another.
///
/// A queue is named after the resource that can hang, such as a directory. A resource that hangs occupies one thread and
/// delays only the calls of its own queue.
#[derive(Clone, Default)]
pub struct BlockingPool(Arc<Shared>);

struct Shared {
    threads: Arc<Semaphore>,
    /// The queues in which calls are running or waiting.
    queues: Mutex<HashMap<String, Queue>>,
}

/// One queue: the permit that a call needs to run, and the number of calls that have it or wait for it.
struct Queue {
    turn: Arc<Semaphore>,
    calls: usize,
}

/// Counts one call of a queue. The queue is removed with its last call.
struct QueuedCall {
    pool: Arc<Shared>,
    queue: String,
    turn: Arc<Semaphore>,
}

/// A call that waits for a thread of the runtime, or runs on one.
struct Running<T>(JoinHandle<T>);

impl BlockingPool {
    /// Runs `work` on a thread of the pool when all earlier calls of its queue have ended. Returns `None` if it panicked.
    ///
    /// If the future is dropped, work that has not started does not run; work that has started keeps its thread and blocks
    /// its queue until it ends. Must be awaited on a Tokio runtime.
    pub async fn run<T: Send + 'static>(
        &self,
        queue: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let call = self.enqueue(queue);
        // The queue first: calls that wait in a queue that hangs must not occupy threads.
        let turn = permit(&call.turn).await?;
        let thread = permit(&self.0.threads).await?;
        let mut running = Running(spawn_blocking(move || {
            let _thread = thread;
            // The queue is released after the result is received, so that calls of one queue return in order.
            (work(), call, turn)
        }));
        let (result, ..) = (&mut running.0).await.ok()?;
        Some(result)
    }

    fn enqueue(&self, name: &str) -> QueuedCall {
        let mut queues = self.0.queues();
        let queue = queues.entry(name.to_owned()).or_insert_with(|| Queue {
            turn: Arc::new(Semaphore::new(1)),
            calls: 0,
        });
        queue.calls += 1;
        QueuedCall {
            pool: self.0.clone(),
            queue: name.to_owned(),
            turn: queue.turn.clone(),
        }
    }
}

/// Waits for a permit; `None` if the semaphore is closed, which none of this pool is.
async fn permit(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    semaphore.clone().acquire_owned().await.ok()
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            threads: Arc::new(Semaphore::new(MAX_BLOCKING_THREADS)),
            queues: Mutex::default(),
        }
    }
}

impl Shared {
    fn queues(&self) -> MutexGuard<'_, HashMap<String, Queue>> {
        lock(&self.queues)
    }
}

impl Drop for QueuedCall {
    fn drop(&mut self) {
        let mut queues = self.pool.queues();
        if let Some(queue) = queues.get_mut(&self.queue) {
            queue.calls -= 1;
            if queue.calls == 0 {
                queues.remove(&self.queue);
            }
        }
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        // Has an effect only while the call waits for a thread of the runtime.
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use tokio::sync::oneshot;
    use tokio::task::{JoinSet, yield_now};

    use super::*;

    /// Returns work that signals when it has started, and ends when the sender is dropped.
    fn hanging_work() -> (impl FnOnce() + Send + 'static, oneshot::Receiver<()>, Sender<()>) {
        let (started, has_started) = oneshot::channel();
        let (release, released): (Sender<()>, Receiver<()>) = channel();
        let work = move || {
            let _ = started.send(());
            let _ = released.recv();
        };
        (work, has_started, release)
    }

    #[tokio::test]
    async fn hung_queue_delays_only_its_own_calls() {
        let pool = BlockingPool::default();
        let (work, has_started, release) = hanging_work();
        let mut calls = JoinSet::new();
        let hung = pool.clone();
        calls.spawn(async move { hung.run("hangs", work).await });
        has_started.await.expect("started");

        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 * MAX_BLOCKING_THREADS {
            let (pool, ran) = (pool.clone(), ran.clone());
            calls.spawn(async move {
                let work = move || {
                    ran.fetch_add(1, Ordering::SeqCst);
                };
                pool.run("hangs", work).await
            });
        }
        yield_now().await;
        for nth in 0..2 * MAX_BLOCKING_THREADS {
            assert_eq!(pool.run("healthy", move || nth).await, Some(nth));
        }
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        drop(release);
        assert_eq!(
            calls.join_all().await,
            vec![Some(()); 3 * MAX_BLOCKING_THREADS + 1]
        );
        assert_eq!(ran.load(Ordering::SeqCst), 3 * MAX_BLOCKING_THREADS);
    }

    #[tokio::test]
    async fn calls_of_one_queue_run_one_at_a_time_in_order() {
        let pool = BlockingPool::default();
        let running = Arc::new(AtomicUsize::new(0));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut calls = JoinSet::new();
        for nth in 0..20 {
            let (pool, running, order) = (pool.clone(), running.clone(), order.clone());
            calls.spawn(async move {
                let work = move || {
                    let others = running.fetch_add(1, Ordering::SeqCst);
                    order.lock().expect("not poisoned").push(nth);
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    others
                };
                pool.run("one", work).await
            });
        }
        assert_eq!(calls.join_all().await, vec![Some(0); 20]);
        assert_eq!(*order.lock().expect("not poisoned"), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn queues_share_a_limited_number_of_threads() {
        let pool = BlockingPool::default();
        let mut calls = JoinSet::new();
        let mut releases = Vec::new();
        let mut started = Vec::new();
        for nth in 0..=MAX_BLOCKING_THREADS {
            let (work, has_started, release) = hanging_work();
            let pool = pool.clone();
            calls.spawn(async move { pool.run(&nth.to_string(), work).await });
            releases.push(release);
            started.push(has_started);
        }
        let mut last = started.pop().expect("more calls than threads");
        for has_started in started {
            has_started.await.expect("started");
        }
        last.try_recv().expect_err("waits for a thread");
        releases.remove(0);
        last.await.expect("started");
        drop(releases);
        calls.join_all().await;
    }

    #[tokio::test]
    async fn call_abandoned_while_queued_does_not_run() {
        let pool = BlockingPool::default();
        let (work, has_started, release) = hanging_work();
        let mut calls = JoinSet::new();
        let hung = pool.clone();
        calls.spawn(async move { hung.run("hangs", work).await });
        has_started.await.expect("started");

        let ran = Arc::new(AtomicUsize::new(0));
        let counted = ran.clone();
        let abandoned = pool.clone();
        let call = tokio::spawn(async move {
            let work = move || counted.fetch_add(1, Ordering::SeqCst);
            abandoned.run("hangs", work).await
        });
        yield_now().await;
        call.abort();
        assert!(call.await.expect_err("aborted").is_cancelled());
        drop(release);
        calls.join_all().await;
        assert_eq!(pool.run("hangs", || ()).await, Some(()));
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn call_abandoned_before_it_has_a_thread_does_not_run() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let (work, has_started, release) = hanging_work();
            let name_resolution = spawn_blocking(work);
            has_started.await.expect("started");
            let pool = BlockingPool::default();
            let ran = Arc::new(AtomicUsize::new(0));
            let (counted, abandoned) = (ran.clone(), pool.clone());
            let call = tokio::spawn(async move {
                let work = move || counted.fetch_add(1, Ordering::SeqCst);
                abandoned.run("a", work).await
            });
            yield_now().await;
            call.abort();
            assert!(call.await.expect_err("aborted").is_cancelled());
            drop(release);
            name_resolution.await.expect("ended");
            assert_eq!(pool.run("a", || ()).await, Some(()));
            assert_eq!(ran.load(Ordering::SeqCst), 0);
        });
    }

    #[tokio::test]
    async fn call_abandoned_while_running_keeps_its_queue_blocked() {
        let pool = BlockingPool::default();
        let (work, has_started, release) = hanging_work();
        let abandoned = pool.clone();
        let call = tokio::spawn(async move { abandoned.run("hangs", work).await });
        has_started.await.expect("started");
        call.abort();
        assert!(call.await.expect_err("aborted").is_cancelled());

        let (next, mut has_started, release_next) = hanging_work();
        let waiting = pool.clone();
        let call = tokio::spawn(async move { waiting.run("hangs", next).await });
        yield_now().await;
        has_started.try_recv().expect_err("waits for its queue");
        drop((release, release_next));
        assert_eq!(call.await.expect("ended"), Some(()));
    }

    #[tokio::test]
    async fn panicking_call_returns_none_and_frees_its_queue() {
        let pool = BlockingPool::default();
        for _ in 0..2 * MAX_BLOCKING_THREADS {
            assert_eq!(pool.run("a", || panic!("a bug")).await, None::<()>);
        }
        assert_eq!(pool.run("a", || 1).await, Some(1));
    }

    #[tokio::test]
    async fn idle_queues_are_removed() {
        let pool = BlockingPool::default();
        for nth in 0..1_000 {
            pool.run(&nth.to_string(), || ()).await;
        }
        drop(pool.run("never awaited", || ()));
        assert_eq!(pool.0.queues().len(), 0);
        assert_eq!(pool.0.threads.available_permits(), MAX_BLOCKING_THREADS);
    }
}
