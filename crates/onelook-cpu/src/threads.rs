//! The threads that share a kernel's tasks.
//!
//! Comes in: a number of tasks and a function of (task, worker). Goes out: all of them done. The caller works too, as
//! worker 0, so a pool of `n` threads starts `n - 1`. Between the kernels of a pass workers spin; soon after the last
//! they sleep, so that an idle pool takes no CPU. A worker that wakes late is not waited for.

// Written out because loom/ compiles this file from elsewhere.
#[path = "threads/sync.rs"]
mod sync;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::PoisonError;

use sync::{
    Arc, AtomicBool, AtomicUsize, Builder, Condvar, Idle, JoinHandle, Mutex, MutexGuard, Ordering,
    UnsafeCell, fence, spin_loop, yield_now,
};

/// One step of the generation in [`Shared::gate`]; the bits below count the workers inside.
const GENERATION: usize = 1 << 16;

/// Runs tasks on a fixed number of threads, of which the caller is one.
pub struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held while a job runs: jobs of several callers follow each other.
    turn: Mutex<()>,
}

type Panic = Box<dyn Any + Send>;

/// A job with its lifetime erased; valid while the gate that it was published through stays open or somebody is in.
#[derive(Clone, Copy)]
struct Job {
    tasks: usize,
    run: *const (dyn Fn(usize, usize) + Sync),
}

struct Shared {
    /// Generation · [`GENERATION`] + workers inside. An odd generation is open: a job may be entered.
    gate: AtomicUsize,
    job: UnsafeCell<Option<Job>>,
    next: AtomicUsize,
    panic: Mutex<Option<Panic>>,
    stop: AtomicBool,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `job` is written only by the holder of the turn while the gate is closed and nobody is inside, and read
// only by workers inside an open gate; the gate's atomics order the two. The function it points to is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: the job's function is `Sync`, so any thread may call it; the rest is `Send` by itself.
unsafe impl Send for Shared {}

impl ThreadPool {
    /// A pool of `threads` threads, the caller included; fewer if the system refuses more.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared::new());
        let workers = (1..threads.min(GENERATION - 1)).map_while(|worker| {
            let shared = Arc::clone(&shared);
            let builder = Builder::new().name(format!("onelook-cpu-{worker}"));
            builder.spawn(move || shared.work(worker)).ok()
        });
        ThreadPool {
            workers: workers.collect(),
            shared,
            turn: Mutex::new(()),
        }
    }

    /// Threads that share the tasks, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `run(task, worker)` once for each of `tasks` tasks, and returns when all are done.
    ///
    /// `worker` is below [`ThreadPool::threads`], and no two calls that run at one time on behalf of this call have the
    /// same. Calls from several threads take turns. A task must not call this itself. A task's panic is passed on
    /// after the others have ended.
    pub fn run(&self, tasks: usize, run: &(dyn Fn(usize, usize) + Sync)) {
        if self.workers.is_empty() || tasks <= 1 {
            return (0..tasks).for_each(|task| run(task, 0));
        }
        let turn = lock(&self.turn);
        // SAFETY: only the lifetime changes: `close` returns when no worker is inside the gate any more, and only
        // workers inside it use the job, so the borrow outlives every use. Nothing between here and there unwinds:
        // `take_tasks` catches the tasks' panics.
        let run = unsafe {
            std::mem::transmute::<
                &(dyn Fn(usize, usize) + Sync),
                *const (dyn Fn(usize, usize) + Sync + 'static),
            >(run)
        };
        let job = Job { tasks, run };
        self.shared.open(job);
        self.shared.take_tasks(job, 0);
        self.shared.close();
        let panic = lock(&self.shared.panic).take();
        drop(turn);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.wake_sleepers();
        for worker in self.workers.drain(..) {
            // A worker catches its tasks' panics, so it ends well.
            let _ = worker.join();
        }
    }
}

impl std::fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ThreadPool({} threads)", self.threads())
    }
}

impl Shared {
    fn new() -> Self {
        Shared {
            gate: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            panic: Mutex::new(None),
            stop: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
        }
    }

    /// Publishes a job. The caller holds the turn.
    fn open(&self, job: Job) {
        self.next.store(0, Ordering::Relaxed);
        // SAFETY: this caller holds the turn, and the gate is closed with nobody inside: `close` waited for that, and
        // `enter` lets nobody in who does not see it open.
        self.job.with_mut(|slot| unsafe { *slot = Some(job) });
        self.gate.fetch_add(GENERATION, Ordering::Release);
        // With the fence in `fall_asleep`: a worker that this load does not count sees the gate open.
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            self.wake_sleepers();
        }
    }

    /// Lets nobody in any more and waits until all are out.
    fn close(&self) {
        self.gate.fetch_add(GENERATION, Ordering::Relaxed);
        let mut spins = 0u32;
        while !self.gate.load(Ordering::Acquire).is_multiple_of(GENERATION) {
            spins += 1;
            if spins.is_multiple_of(4096) {
                yield_now()
            } else {
                spin_loop()
            }
        }
    }

    /// Takes tasks until none is left; after a panic nobody takes more.
    fn take_tasks(&self, job: Job, worker: usize) {
        let result = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let task = self.next.fetch_add(1, Ordering::Relaxed);
                if task >= job.tasks {
                    return;
                }
                // SAFETY: the job is valid: this is its publisher, or a worker inside the gate, for which the
                // publisher waits.
                unsafe { (*job.run)(task, worker) }
            }
        }));
        if let Err(panic) = result {
            self.next.store(job.tasks, Ordering::Relaxed);
            lock(&self.panic).get_or_insert(panic);
        }
    }

    /// A worker's life.
    fn work(&self, worker: usize) {
        let mut seen = 0;
        while let Some(generation) = self.wait_for_job(seen) {
            seen = generation;
            // SAFETY: the gate was open when this worker entered, so nobody writes the job until it leaves.
            if let Some(job) = self.job.with(|slot| unsafe { *slot }) {
                self.take_tasks(job, worker);
            }
            self.gate.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for an open generation other than `seen`, enters, and returns it; `None` when the pool ends.
    fn wait_for_job(&self, seen: usize) -> Option<usize> {
        let mut idle = Idle::new();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(generation) = self.enter(seen) {
                return Some(generation);
            }
            if idle.wait() {
                self.fall_asleep(seen);
                idle = Idle::new();
            }
        }
    }

    /// Enters if a job other than `seen` is open.
    fn enter(&self, seen: usize) -> Option<usize> {
        let is_new = |gate: usize| (gate / GENERATION) % 2 == 1 && gate / GENERATION != seen;
        if !is_new(self.gate.load(Ordering::Relaxed)) {
            return None;
        }
        let gate = self.gate.fetch_add(1, Ordering::Acquire);
        if is_new(gate) {
            return Some(gate / GENERATION);
        }
        self.gate.fetch_sub(1, Ordering::Release);
        None
    }

    fn fall_asleep(&self, seen: usize) {
        let guard = lock(&self.sleep);
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        // With the fence in `open`: a publisher that does not count this worker has opened the gate before this load.
        fence(Ordering::SeqCst);
        let gate = self.gate.load(Ordering::Relaxed) / GENERATION;
        let nothing_new = gate.is_multiple_of(2) || gate == seen;
        // Whoever stops the pool takes the lock after that, so a stop that is missed here wakes this worker.
        if nothing_new && !self.stop.load(Ordering::Relaxed) {
            drop(
                self.wake
                    .wait(guard)
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
    }

    fn wake_sleepers(&self) {
        // With the lock held nobody is between its last look at the gate and its sleep.
        let _guard = lock(&self.sleep);
        self.wake.notify_all();
    }
}

/// The pool's own state stays whole when a task panics, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use super::*;

    fn counts(pool: &ThreadPool, tasks: usize) -> Vec<usize> {
        let counts: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        pool.run(tasks, &|task, worker| {
            assert!(worker < pool.threads());
            counts[task].fetch_add(1, Ordering::Relaxed);
        });
        counts.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_task_runs_once() {
        for threads in [1, 2, 5] {
            let pool = ThreadPool::new(threads);
            for tasks in [0, 1, 2, 3, 100] {
                for _ in 0..200 {
                    assert_eq!(counts(&pool, tasks), vec![1; tasks]);
                }
            }
        }
    }

    #[test]
    fn work_resumes_after_sleep() {
        let pool = ThreadPool::new(3);
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(2));
            assert_eq!(counts(&pool, 50), vec![1; 50]);
        }
    }

    #[test]
    fn callers_on_several_threads_take_turns() {
        let pool = ThreadPool::new(2);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| assert_eq!(counts(&pool, 7), vec![1; 7])));
            }
        });
    }

    #[test]
    fn no_two_tasks_share_a_worker_at_one_time() {
        let pool = ThreadPool::new(4);
        let busy: Vec<_> = (0..4).map(|_| AtomicBool::new(false)).collect();
        pool.run(1000, &|_, worker| {
            assert!(!busy[worker].swap(true, Ordering::SeqCst));
            std::hint::spin_loop();
            busy[worker].store(false, Ordering::SeqCst);
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let pool = ThreadPool::new(3);
        let result = catch_unwind(AssertUnwindSafe(|| {
            pool.run(20, &|task, _| assert!(task != 11, "task eleven"));
        }));
        assert!(result.is_err());
        assert_eq!(counts(&pool, 30), vec![1; 30]);
    }

    #[test]
    fn dropping_ends_the_workers() {
        let pool = ThreadPool::new(3);
        let shared = Arc::clone(&pool.shared);
        drop(pool);
        assert_eq!(Arc::strong_count(&shared), 1);
    }
}
