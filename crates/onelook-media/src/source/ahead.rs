//! Numbered jobs in, their results out in order, worked on by threads ahead of whoever takes them.
//!
//! How far ahead is bounded twice: by the number of results, and by the bytes that jobs reserve. There
//! is one thread as long as its results come in time: more would only disturb whoever takes them. Knows
//! nothing of images.

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How far ahead, and by how many threads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Most threads; with none the taker does the work.
    pub(super) threads: usize,
    /// Most results that wait or are being worked on.
    pub(super) results: usize,
    /// Most bytes reserved by them. The next result to be taken may exceed it, or nothing larger
    /// than the bound would ever come.
    pub(super) bytes: u64,
}

/// Does job number so-and-so; says how many bytes its result goes on to hold.
type Job<T> = dyn Fn(usize, &Reservation<'_>) -> (T, u64) + Send + Sync;

/// Results to come, in the order of their jobs.
pub(super) struct Ahead<T: Send + 'static> {
    shared: Arc<Shared>,
    results: Arc<Results<T>>,
    work: Arc<Job<T>>,
    /// Number of threads that were started.
    workers: usize,
    /// How many of the last results had to be waited for, without one in between that was ready.
    waits: usize,
}

/// What needs no knowledge of the results.
struct Shared {
    jobs: usize,
    bounds: Bounds,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Jobs that were begun: the number of the next one.
    begun: usize,
    /// Results that were taken: the number of the next one.
    taken: usize,
    reserved: u64,
    stopped: bool,
}

/// The results of jobs `taken..begun`; `None` where a job is not done. Locked only while
/// [`Shared::state`] is.
type Results<T> = Mutex<VecDeque<Option<Done<T>>>>;

struct Done<T> {
    result: Result<T, Box<dyn Any + Send>>,
    bytes: u64,
}

impl<T: Send + 'static> Ahead<T> {
    /// Nothing is begun before the first result is asked for.
    pub(super) fn new(
        jobs: usize,
        bounds: Bounds,
        work: impl Fn(usize, &Reservation<'_>) -> (T, u64) + Send + Sync + 'static,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                jobs,
                bounds,
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
            results: Arc::default(),
            work: Arc::new(work),
            workers: 0,
            waits: 0,
        }
    }

    /// Results still to be taken.
    pub(super) fn left(&self) -> usize {
        let state = self.shared.lock();
        match state.stopped {
            true => 0,
            false => self.shared.jobs - state.taken,
        }
    }

    /// Ends the results, also for whoever is waiting for the next, when called from any thread.
    pub(super) fn stopper(&self) -> impl FnOnce() + Send + 'static {
        let shared = self.shared.clone();
        move || shared.stop()
    }

    /// Starts one more thread; one that cannot be started is done without.
    fn start(&mut self) {
        let (shared, results) = (self.shared.clone(), self.results.clone());
        let work = self.work.clone();
        let run = move || while run_next(&shared, &results, &*work) {};
        let thread = thread::Builder::new().name("decode".to_owned());
        self.workers += usize::from(thread.spawn(run).is_ok());
    }
}

impl<T: Send + 'static> Iterator for Ahead<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        // The first result is always waited for, and one that takes long says nothing of the others.
        let is_slow = self.workers == 0 || self.waits > 1;
        if is_slow && self.workers < self.shared.bounds.threads.min(self.shared.jobs) {
            self.start();
        }
        if self.workers == 0 {
            run_next(&self.shared, &self.results, &*self.work);
        }
        let mut state = self.shared.lock();
        let mut waited = 0;
        let done = loop {
            if state.stopped || state.taken == self.shared.jobs {
                return None;
            }
            let mut results = lock(&self.results);
            if let Some(done) = results.front_mut().and_then(Option::take) {
                results.pop_front();
                break done;
            }
            drop(results);
            waited = self.waits + 1;
            state = self.shared.wait(state);
        };
        self.waits = waited;
        state.taken += 1;
        state.reserved -= done.bytes;
        drop(state);
        self.shared.changed.notify_all();
        // A panic of a worker is a panic of whoever waits for its result, not an endless wait.
        Some(done.result.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl<T: Send + 'static> Drop for Ahead<T> {
    /// Does not wait for the threads: one may be blocked by a slow address or standard input.
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Waits until a job may begin; `None` when there are no more.
    fn begin(&self, make_room: impl FnOnce()) -> Option<usize> {
        let mut state = self.lock();
        loop {
            let waiting = state.begun - state.taken;
            let within_bounds =
                waiting < self.bounds.results.max(1) && state.reserved < self.bounds.bytes;
            if state.stopped || state.begun == self.jobs {
                return None;
            }
            if waiting == 0 || within_bounds {
                make_room();
                state.begun += 1;
                return Some(state.begun - 1);
            }
            state = self.wait(state);
        }
    }
}

/// Does the next job; `false` when there are no more.
fn run_next<T>(shared: &Shared, results: &Results<T>, work: &Job<T>) -> bool {
    let Some(job) = shared.begin(|| lock(results).push_back(None)) else {
        return false;
    };
    let reservation = Reservation {
        shared,
        job,
        bytes: Cell::new(0),
        waited: Cell::default(),
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| work(job, &reservation)));
    let (result, bytes) = match outcome {
        Ok((result, bytes)) => (Ok(result), bytes),
        Err(panic) => (Err(panic), 0),
    };
    let mut state = shared.lock();
    state.reserved = state.reserved - reservation.bytes.get() + bytes;
    lock(results)[job - state.taken] = Some(Done { result, bytes });
    drop(state);
    shared.changed.notify_all();
    true
}

/// What one job has reserved of the bytes that all share.
pub(super) struct Reservation<'a> {
    shared: &'a Shared,
    job: usize,
    bytes: Cell<u64>,
    waited: Cell<Duration>,
}

impl Reservation<'_> {
    /// Waits until `bytes` more are free, or until this job's result is the next to be taken, which
    /// nothing may hold up. `false` when the results were stopped.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let start = Instant::now();
        let mut state = self.shared.lock();
        while !state.stopped
            && state.taken != self.job
            && state.reserved.saturating_add(bytes) > self.shared.bounds.bytes
        {
            state = self.shared.wait(state);
        }
        if state.stopped {
            return false;
        }
        state.reserved += bytes;
        self.bytes.set(self.bytes.get() + bytes);
        self.waited.set(self.waited.get() + start.elapsed());
        true
    }

    /// How long this job has waited for bytes.
    pub(super) fn waited(&self) -> Duration {
        self.waited.get()
    }
}

/// No code panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

    use super::*;

    const WIDE: Bounds = Bounds {
        threads: 4,
        results: 8,
        bytes: u64::MAX,
    };

    #[test]
    fn results_come_in_the_order_of_their_jobs() {
        let ahead = Ahead::new(100, WIDE, |job, _| {
            thread::sleep(Duration::from_micros((job * 7919 % 13) as u64 * 100));
            (job, 0)
        });
        assert_eq!(ahead.left(), 100);
        assert_eq!(ahead.collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn no_more_is_begun_than_may_wait() {
        for results in [1, 3] {
            let begun = Arc::new(AtomicUsize::new(0));
            let counter = begun.clone();
            let bounds = Bounds { results, ..WIDE };
            let mut ahead = Ahead::new(40, bounds, move |job, _| {
                counter.fetch_add(1, SeqCst);
                (job, 0)
            });
            for taken in 1..=40 {
                ahead.next().unwrap();
                thread::sleep(Duration::from_millis(1));
                assert!(begun.load(SeqCst) <= taken + results);
            }
            assert_eq!(ahead.next(), None);
        }
    }

    #[test]
    fn reserved_bytes_stay_within_their_bound_but_for_the_next_result() {
        let bounds = Bounds { bytes: 100, ..WIDE };
        let [held, most] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let (counter, peak) = (held.clone(), most.clone());
        let ahead = Ahead::new(60, bounds, move |job, reservation| {
            // Every tenth is larger than all may be together.
            let bytes = if job % 10 == 5 { 150 } else { 40 };
            assert!(reservation.take(bytes));
            peak.fetch_max(counter.fetch_add(bytes, SeqCst) + bytes, SeqCst);
            thread::sleep(Duration::from_micros(300));
            (bytes, bytes)
        });
        let taken = ahead.inspect(|bytes| {
            held.fetch_sub(*bytes, SeqCst);
        });
        assert_eq!(taken.count(), 60);
        // What was taken is counted a moment longer here than by the bound: one result.
        let most = most.load(SeqCst);
        assert!(most <= 100 + 150 + 150, "{most}");
    }

    #[test]
    fn a_job_that_panics_does_not_leave_its_taker_waiting() {
        let mut ahead = Ahead::new(3, WIDE, |job, _| {
            assert_ne!(job, 1, "a bug");
            (job, 0)
        });
        assert_eq!(ahead.next(), Some(0));
        assert!(catch_unwind(AssertUnwindSafe(|| ahead.next())).is_err());
        assert_eq!(ahead.next(), Some(2));
    }

    #[test]
    fn stopping_wakes_whoever_waits() {
        let mut ahead = Ahead::new(2, WIDE, |_, _| {
            thread::sleep(Duration::from_secs(600));
            ((), 0)
        });
        let stop = ahead.stopper();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            stop();
        });
        assert_eq!(ahead.next(), None);
        assert_eq!(ahead.left(), 0);
    }

    #[test]
    fn one_thread_does_it_while_its_results_come_in_time() {
        let mut ahead = Ahead::new(60, WIDE, |job, _| (job, 0));
        while ahead.next().is_some() {
            let is_ready = || matches!(lock(&ahead.results).front(), Some(Some(_)));
            while ahead.left() > 0 && !is_ready() {
                thread::yield_now();
            }
        }
        assert_eq!(ahead.workers, 1);
    }

    #[test]
    fn threads_are_added_while_results_are_waited_for() {
        // How many results a busy machine lets become ready before they are asked for is not known:
        // these are so many that some in a row have to be waited for.
        let mut ahead = Ahead::new(20_000, WIDE, |_, _| {
            thread::sleep(Duration::from_millis(1));
            (thread::current().id(), 0)
        });
        let mut ids = std::collections::HashSet::new();
        while ids.len() < WIDE.threads {
            ids.insert(ahead.next().expect("a result of a fourth thread"));
        }
        for _ in 0..20 {
            ahead.next();
        }
        assert_eq!(ahead.workers, WIDE.threads);
    }

    #[test]
    fn without_a_thread_the_taker_does_the_work() {
        let bounds = Bounds { threads: 0, ..WIDE };
        let ahead = Ahead::new(3, bounds, |job, _| (job, 0));
        assert_eq!(ahead.collect::<Vec<_>>(), [0, 1, 2]);
    }
}
