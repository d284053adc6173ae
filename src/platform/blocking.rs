//! A bounded pool of threads for calls that can block: mostly files, which may lie on a file system that hangs.
//!
//! The network thread carries every timer of the process, so a call that blocks there would delay all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::locking::lock;

/// So many threads are in calls that can block at most.
pub const MAX_BLOCKING_THREADS: usize = 8;

/// Runs calls that can block, on at most [`MAX_BLOCKING_THREADS`] threads in all and one for each place.
///
/// A place is a name for what the calls have in common that can hang, such as a directory. Calls for the same place
/// run one after another, so a place that hangs costs one thread and delays its own callers only.
#[derive(Clone, Default)]
pub struct BlockingPool(Arc<Shared>);

struct Shared {
    threads: Arc<Semaphore>,
    /// The places that calls are running or waiting for.
    places: Mutex<HashMap<String, Place>>,
}

/// One place: the permit that a call needs to run, and how many calls have it or wait for it.
struct Place {
    turn: Arc<Semaphore>,
    calls: usize,
}

/// One call's share in the entry of a place, which is removed with the last one.
struct PlaceHold {
    pool: Arc<Shared>,
    place: String,
    turn: Arc<Semaphore>,
}

/// A call on its way to a thread, or running there.
struct Running<T>(JoinHandle<T>);

impl BlockingPool {
    /// Runs `work` on a thread of the pool once its turn has come. Returns `None` if it panicked.
    ///
    /// Dropping the future gives up waiting: work that has not begun will not run, and work that has begun keeps its
    /// thread and its place to its end. Must be awaited on a Tokio runtime.
    pub async fn run<T: Send + 'static>(
        &self,
        place: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let hold = self.hold(place);
        // The place first: calls that wait for a place that hangs must not take threads from others.
        let turn = permit(&hold.turn).await?;
        let thread = permit(&self.0.threads).await?;
        let mut running = Running(spawn_blocking(move || {
            let _thread = thread;
            // The place comes back with the result, so that calls of one place return in the order of their turns.
            (work(), hold, turn)
        }));
        let (result, ..) = (&mut running.0).await.ok()?;
        Some(result)
    }

    fn hold(&self, place: &str) -> PlaceHold {
        let mut places = self.0.places();
        let entry = places.entry(place.to_owned()).or_insert_with(|| Place {
            turn: Arc::new(Semaphore::new(1)),
            calls: 0,
        });
        entry.calls += 1;
        PlaceHold {
            pool: self.0.clone(),
            place: place.to_owned(),
            turn: entry.turn.clone(),
        }
    }
}

/// The semaphores are never closed; if one were, the work would not run.
async fn permit(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    semaphore.clone().acquire_owned().await.ok()
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            threads: Arc::new(Semaphore::new(MAX_BLOCKING_THREADS)),
            places: Mutex::default(),
        }
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, HashMap<String, Place>> {
        lock(&self.places)
    }
}

impl Drop for PlaceHold {
    fn drop(&mut self) {
        let mut places = self.pool.places();
        if let Some(entry) = places.get_mut(&self.place) {
            entry.calls -= 1;
            if entry.calls == 0 {
                places.remove(&self.place);
            }
        }
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        // Has an effect only while the runtime has no thread for it yet.
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

    /// Work that tells when it has begun and ends when the sender is dropped.
    fn hanging() -> (impl FnOnce() + Send + 'static, oneshot::Receiver<()>, Sender<()>) {
        let (begun, has_begun) = oneshot::channel();
        let (release, released): (Sender<()>, Receiver<()>) = channel();
        let work = move || {
            let _ = begun.send(());
            let _ = released.recv();
        };
        (work, has_begun, release)
    }

    #[tokio::test]
    async fn hung_queue_delays_only_its_own_calls() {
        let pool = BlockingPool::default();
        let (work, has_begun, release) = hanging();
        let mut calls = JoinSet::new();
        let hung = pool.clone();
        calls.spawn(async move { hung.run("hangs", work).await });
        has_begun.await.expect("begun");

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
        let mut begun = Vec::new();
        for nth in 0..=MAX_BLOCKING_THREADS {
            let (work, has_begun, release) = hanging();
            let pool = pool.clone();
            calls.spawn(async move { pool.run(&nth.to_string(), work).await });
            releases.push(release);
            begun.push(has_begun);
        }
        let mut last = begun.pop().expect("more calls than threads");
        for has_begun in begun {
            has_begun.await.expect("begun");
        }
        last.try_recv().expect_err("waits for a thread");
        releases.remove(0);
        last.await.expect("begun");
        drop(releases);
        calls.join_all().await;
    }

    #[tokio::test]
    async fn call_abandoned_while_queued_does_not_run() {
        let pool = BlockingPool::default();
        let (work, has_begun, release) = hanging();
        let mut calls = JoinSet::new();
        let hung = pool.clone();
        calls.spawn(async move { hung.run("hangs", work).await });
        has_begun.await.expect("begun");

        let ran = Arc::new(AtomicUsize::new(0));
        let counted = ran.clone();
        let given_up = pool.clone();
        let call = tokio::spawn(async move {
            let work = move || counted.fetch_add(1, Ordering::SeqCst);
            given_up.run("hangs", work).await
        });
        yield_now().await;
        call.abort();
        assert!(call.await.expect_err("given up").is_cancelled());
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
            let (work, has_begun, release) = hanging();
            let name_resolution = spawn_blocking(work);
            has_begun.await.expect("begun");
            let pool = BlockingPool::default();
            let ran = Arc::new(AtomicUsize::new(0));
            let (counted, given_up) = (ran.clone(), pool.clone());
            let call = tokio::spawn(async move {
                let work = move || counted.fetch_add(1, Ordering::SeqCst);
                given_up.run("a", work).await
            });
            yield_now().await;
            call.abort();
            assert!(call.await.expect_err("given up").is_cancelled());
            drop(release);
            name_resolution.await.expect("ended");
            assert_eq!(pool.run("a", || ()).await, Some(()));
            assert_eq!(ran.load(Ordering::SeqCst), 0);
        });
    }

    #[tokio::test]
    async fn call_abandoned_while_running_keeps_its_queue_blocked() {
        let pool = BlockingPool::default();
        let (work, has_begun, release) = hanging();
        let given_up = pool.clone();
        let call = tokio::spawn(async move { given_up.run("hangs", work).await });
        has_begun.await.expect("begun");
        call.abort();
        assert!(call.await.expect_err("given up").is_cancelled());

        let (next, mut has_begun, release_next) = hanging();
        let waiting = pool.clone();
        let call = tokio::spawn(async move { waiting.run("hangs", next).await });
        yield_now().await;
        has_begun.try_recv().expect_err("waits for its place");
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
        assert_eq!(pool.0.places().len(), 0);
        assert_eq!(pool.0.threads.available_permits(), MAX_BLOCKING_THREADS);
    }
}
