//! The pool in every order that its threads' steps can take: `cargo xtask loom`.
//!
//! Each test is run once per order, with what the memory model lets a load see. An access to the job that the gate does
//! not order is a race; a wake-up that is lost is a deadlock of two tasks that need two threads.

#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use loom::model::Builder;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use onelook_loom::threads::ThreadPool;

/// Every order with at most so many preemptions: where a thread could have gone on and did not.
fn check(preemptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(test);
}

/// Runs two tasks and sees that each ran once.
fn run_two(pool: &ThreadPool) {
    let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
    pool.run(2, &|task, worker| {
        assert!(worker < pool.threads());
        counts[task].fetch_add(1, Ordering::Relaxed);
    });
    // What the tasks did happened before `run` returned.
    assert!(
        counts
            .iter()
            .all(|count| count.load(Ordering::Relaxed) == 1)
    );
}

#[test]
fn two_jobs_after_each_other_run_once_each() {
    check(3, || {
        let pool = ThreadPool::new(2);
        run_two(&pool);
        run_two(&pool);
    });
}

#[test]
fn two_workers_share_a_job() {
    check(2, || run_two(&ThreadPool::new(3)));
}

#[test]
fn two_callers_take_turns() {
    check(2, || {
        let pool = Arc::new(ThreadPool::new(2));
        let other = {
            let pool = Arc::clone(&pool);
            loom::thread::spawn(move || run_two(&pool))
        };
        run_two(&pool);
        other.join().unwrap();
    });
}

#[test]
fn a_pool_that_is_dropped_at_once_ends_its_workers() {
    check(3, || drop(ThreadPool::new(3)));
}

#[test]
fn a_sleeping_worker_is_woken_by_every_job() {
    check(3, || {
        let pool = ThreadPool::new(2);
        for _ in 0..2 {
            let other = Notify::new();
            pool.run(2, &|task, _| match task {
                0 => other.wait(),
                _ => other.notify(),
            });
        }
    });
}
