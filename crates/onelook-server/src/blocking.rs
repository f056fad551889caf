//! Work that would hold up the threads that answer requests.

use std::sync::{Arc, LazyLock};

use onelook::usable_cores;
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// Threads for all such work of the process. What is long is bounded further where it comes from, so
/// that there is always one for what is short.
static THREADS: LazyLock<Arc<Semaphore>> =
    LazyLock::new(|| Arc::new(Semaphore::new(max_threads())));

fn max_threads() -> usize {
    16 + 8 * usable_cores()
}

/// Runs long work on a thread of the blocking pool, away from those that answer requests; waits while all
/// of its threads are taken. The work must not wait for other work. Once begun it is finished, also if
/// nobody waits for it any more.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let permit = Arc::clone(&THREADS).acquire_owned().await;
    let permit = permit.expect("the semaphore is never closed");
    let work = move || {
        let _permit = permit;
        work()
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::internal(format!("a worker thread failed: {error}")))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn however_much_work_there_is_its_threads_are_bounded() {
        let is_open = Arc::new(AtomicBool::new(false));
        let running = Arc::new(AtomicUsize::new(0));
        let most = max_threads();
        let work: Vec<_> = (0..3 * most)
            .map(|_| {
                let (is_open, running) = (Arc::clone(&is_open), Arc::clone(&running));
                tokio::spawn(blocking(move || {
                    running.fetch_add(1, Ordering::SeqCst);
                    while !is_open.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }))
            })
            .collect();
        while running.load(Ordering::SeqCst) < most {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(running.load(Ordering::SeqCst), most);
        is_open.store(true, Ordering::SeqCst);
        for work in work {
            assert!(work.await.unwrap().is_ok());
        }
        assert_eq!(running.load(Ordering::SeqCst), 3 * most);
    }

    #[tokio::test]
    async fn work_that_was_begun_goes_on_without_whoever_asked_for_it() {
        let (begin, begun) = std::sync::mpsc::channel();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (end, ended) = tokio::sync::oneshot::channel();
        let asked = tokio::spawn(blocking(move || {
            begin.send(()).unwrap();
            wait.recv().unwrap();
            end.send(()).unwrap();
        }));
        while begun.try_recv().is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        asked.abort();
        assert!(asked.await.is_err());
        go.send(()).unwrap();
        assert!(ended.await.is_ok());
    }
}
