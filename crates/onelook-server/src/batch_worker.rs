//! The thread that runs a model: prepared pictures in, the network's outputs out.
//!
//! Whatever is ready and has the same shape shares a run, up to the largest batch. The thread waits
//! for company only while somebody is about to be ready, and never longer than the given delay.
//! What a picture's outputs are does not depend on who shared its run.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use onelook::Model;
use onelook::types::{Shape, Tensor};
use tokio::sync::oneshot;

use crate::admission::Gate;
use crate::problem::Problem;

/// How runs are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Most pictures in one run.
    pub max_batch: usize,
    /// Longest wait of a picture that is ready for others to share its run.
    pub max_delay: Duration,
}

/// A request's part of a run.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The network's outputs for the whole run.
    pub outputs: Arc<Vec<Tensor>>,
    /// The request's first row in them.
    pub row: usize,
    /// Time between being ready and the start of the run.
    pub waited: Duration,
    /// Time of the run.
    pub time: Duration,
    /// Pictures in the run.
    pub batch: usize,
}

struct Job {
    input: Tensor,
    ready: Instant,
    reply: oneshot::Sender<Result<Ran, Problem>>,
}

#[derive(Default)]
struct Ready {
    jobs: VecDeque<Job>,
    closed: bool,
}

struct Bench {
    ready: Mutex<Ready>,
    wake: Condvar,
}

/// Told of each run: pictures, and how long it took.
pub type OnRun = Box<dyn Fn(usize, Duration) + Send>;

/// A model's thread; ends when dropped, after what it was given.
pub struct Worker {
    bench: Arc<Bench>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread.
    pub fn start(
        model: Arc<Model>,
        gate: Arc<Gate>,
        batching: Batching,
        on_run: OnRun,
    ) -> std::io::Result<Self> {
        let bench = Arc::new(Bench {
            ready: Mutex::default(),
            wake: Condvar::new(),
        });
        let station = Station {
            bench: Arc::clone(&bench),
            model,
            gate,
            batching,
            on_run,
        };
        let thread = std::thread::Builder::new()
            .name("onelook-run".to_owned())
            .spawn(move || station.work())?;
        Ok(Self {
            bench,
            thread: Some(thread),
        })
    }

    /// Runs `[pictures, 3, height, width]`, with others or alone.
    pub async fn run(&self, input: Tensor) -> Result<Ran, Problem> {
        let (reply, answer) = oneshot::channel();
        self.bench.lock().jobs.push_back(Job {
            input,
            ready: Instant::now(),
            reply,
        });
        self.bench.wake.notify_one();
        answer
            .await
            .unwrap_or_else(|_| Err(Problem::internal("the model's thread has ended")))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.bench.lock().closed = true;
        self.bench.wake.notify_one();
        // The last user of a model may be an async task: it must not wait for a run.
        drop(self.thread.take());
    }
}

impl Bench {
    /// The list is whole between any two statements, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread owns.
struct Station {
    bench: Arc<Bench>,
    model: Arc<Model>,
    gate: Arc<Gate>,
    batching: Batching,
    on_run: OnRun,
}

impl Station {
    fn work(self) {
        let mut input = Tensor::default();
        while let Some(jobs) = self.next_batch() {
            self.run(jobs, &mut input);
        }
    }

    /// The jobs of the next run; `None` when there will be none.
    fn next_batch(&self) -> Option<Vec<Job>> {
        let mut ready = self.bench.lock();
        loop {
            ready.jobs.retain(|job| !job.reply.is_closed());
            let Some(oldest) = ready.jobs.front() else {
                if ready.closed {
                    return None;
                }
                ready = self.wait(ready, None);
                continue;
            };
            let due = oldest.ready + self.batching.max_delay;
            let patience = due.saturating_duration_since(Instant::now());
            let others_come = self.gate.inside() > ready.jobs.len();
            if fitting(&ready.jobs, self.batching.max_batch).1 < self.batching.max_batch
                && others_come
                && !patience.is_zero()
                && !ready.closed
            {
                ready = self.wait(ready, Some(patience));
                continue;
            }
            return Some(take_batch(&mut ready.jobs, self.batching.max_batch));
        }
    }

    fn wait<'a>(
        &self,
        ready: MutexGuard<'a, Ready>,
        patience: Option<Duration>,
    ) -> MutexGuard<'a, Ready> {
        let wake = &self.bench.wake;
        match patience {
            None => wake.wait(ready).unwrap_or_else(PoisonError::into_inner),
            Some(time) => {
                let waited = wake.wait_timeout(ready, time);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    fn run(&self, jobs: Vec<Job>, stack: &mut Tensor) {
        let start = Instant::now();
        let input = match jobs.as_slice() {
            [only] => &only.input,
            many => {
                fill(stack, many);
                &*stack
            }
        };
        let pictures = rows(input.shape());
        let outcome = catch_unwind(AssertUnwindSafe(|| self.model.run(input)));
        let time = start.elapsed();
        let outputs = match outcome {
            Ok(Ok(outputs)) => Ok(Arc::new(outputs)),
            Ok(Err(error)) => Err(Problem::from(error)),
            Err(_) => Err(Problem::internal(
                "the network's run panicked: this is a bug in onelook, please report it",
            )),
        };
        if outputs.is_ok() {
            self.gate.observe(time, pictures);
            (self.on_run)(pictures, time);
        }
        let mut row = 0;
        for job in jobs {
            let own = rows(job.input.shape());
            let ran = outputs.clone().map(|outputs| Ran {
                outputs,
                row,
                waited: start.saturating_duration_since(job.ready),
                time,
                batch: pictures,
            });
            row += own;
            let _ = job.reply.send(ran);
        }
    }
}

fn rows(shape: &Shape) -> usize {
    shape.first().copied().unwrap_or(1)
}

/// How many jobs from the front may share the oldest one's run, and their pictures.
fn fitting(jobs: &VecDeque<Job>, max_batch: usize) -> (usize, usize) {
    let Some(oldest) = jobs.front() else {
        return (0, 0);
    };
    let (mut count, mut pictures) = (0, 0);
    for job in jobs.iter().filter(|job| same_shape(job, oldest)) {
        let own = rows(job.input.shape());
        if count > 0 && pictures + own > max_batch {
            break;
        }
        count += 1;
        pictures += own;
    }
    (count, pictures)
}

fn same_shape(a: &Job, b: &Job) -> bool {
    a.input.shape()[1..] == b.input.shape()[1..]
}

/// Takes the oldest job and those that share its run.
fn take_batch(jobs: &mut VecDeque<Job>, max_batch: usize) -> Vec<Job> {
    let (count, _) = fitting(jobs, max_batch);
    let mut taken: Vec<Job> = Vec::with_capacity(count);
    let mut index = 0;
    while taken.len() < count && index < jobs.len() {
        let fits = taken
            .first()
            .is_none_or(|oldest| same_shape(&jobs[index], oldest));
        match fits {
            true => taken.extend(jobs.remove(index)),
            false => index += 1,
        }
    }
    taken
}

/// Stacks the jobs' pictures.
fn fill(stack: &mut Tensor, jobs: &[Job]) {
    let mut extents = jobs[0].input.shape().to_vec();
    extents[0] = jobs.iter().map(|job| rows(job.input.shape())).sum();
    stack.resize(&Shape::from(extents));
    let mut rest = stack.data_mut();
    for job in jobs {
        let (own, after) = rest.split_at_mut(job.input.data().len());
        own.copy_from_slice(job.input.data());
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(rows: usize, height: usize, value: f32) -> Job {
        let (reply, answer) = oneshot::channel();
        // The test looks at jobs only; nobody waits.
        std::mem::forget(answer);
        Job {
            input: Tensor::from_fn([rows, 3, height, 2], |_| value),
            ready: Instant::now(),
            reply,
        }
    }

    #[test]
    fn only_one_shape_shares_a_run_and_the_oldest_comes_first() {
        let mut jobs: VecDeque<Job> = [(1, 2, 1.0), (1, 4, 2.0), (2, 2, 3.0), (1, 2, 4.0)]
            .map(|(rows, height, value)| job(rows, height, value))
            .into();
        let values =
            |jobs: Vec<Job>| -> Vec<f32> { jobs.iter().map(|job| job.input.data()[0]).collect() };
        assert_eq!(values(take_batch(&mut jobs, 3)), [1.0, 3.0]);
        assert_eq!(values(take_batch(&mut jobs, 3)), [2.0]);
        assert_eq!(values(take_batch(&mut jobs, 3)), [4.0]);
    }

    #[test]
    fn a_request_larger_than_a_batch_runs_alone() {
        let mut jobs: VecDeque<Job> = [job(5, 2, 1.0), job(1, 2, 2.0)].into();
        assert_eq!(take_batch(&mut jobs, 2).len(), 1);
        assert_eq!(jobs.len(), 1);
    }

    #[test]
    fn pictures_are_stacked_in_order() {
        let mut stack = Tensor::default();
        fill(&mut stack, &[job(1, 2, 1.0), job(2, 2, 3.0)]);
        assert_eq!(stack.shape()[..], [3, 3, 2, 2]);
        assert_eq!(stack.data()[11..13], [1.0, 3.0]);
    }
}
