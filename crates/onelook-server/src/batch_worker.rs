//! The thread that runs a model: prepared images in, the network's outputs out.
//!
//! Jobs of the same shape that are ready together share a run, up to the largest batch. The thread
//! waits for further jobs only while admitted requests are still being prepared, and never longer
//! than the configured delay. An image's outputs do not depend on which others share its run.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use onelook::Model;
use onelook::types::{Shape, Tensor};
use tokio::sync::oneshot;

use crate::admission::AdmissionController;
use crate::problem::Problem;

/// How jobs are put into batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPolicy {
    /// Largest number of images in one run.
    pub max_batch: usize,
    /// Longest time that a ready image waits for others to share its run.
    pub max_delay: Duration,
}

/// A job's part of a run.
#[derive(Debug, Clone)]
pub struct JobOutput {
    /// The network's outputs for the whole batch.
    pub outputs: Arc<Vec<Tensor>>,
    /// The job's first row in them.
    pub row: usize,
    /// Time between being ready and the start of the run.
    pub waited: Duration,
    /// Time of the run.
    pub time: Duration,
    /// Number of images in the run.
    pub batch: usize,
}

struct Job {
    input: Tensor,
    ready: Instant,
    reply: oneshot::Sender<Result<JobOutput, Problem>>,
}

#[derive(Default)]
struct PendingJobs {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// Jobs on their way to the thread.
struct JobQueue {
    pending: Mutex<PendingJobs>,
    changed: Condvar,
}

/// Called after each run with the number of images and the time it took.
pub type OnRun = Box<dyn Fn(usize, Duration) + Send>;

/// Handle of a model's thread. When dropped, the thread finishes the jobs it has and ends.
pub struct BatchWorker {
    queue: Arc<JobQueue>,
    thread: Option<JoinHandle<()>>,
}

impl BatchWorker {
    /// Starts the thread.
    pub fn start(
        model: Arc<Model>,
        admission: Arc<AdmissionController>,
        policy: BatchPolicy,
        on_run: OnRun,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(JobQueue {
            pending: Mutex::default(),
            changed: Condvar::new(),
        });
        let batches = BatchLoop {
            queue: Arc::clone(&queue),
            model,
            admission,
            policy,
            on_run,
        };
        let thread = std::thread::Builder::new()
            .name("onelook-run".to_owned())
            .spawn(move || batches.run())?;
        Ok(Self {
            queue,
            thread: Some(thread),
        })
    }

    /// Runs `[images, 3, height, width]`, alone or in a batch with others.
    pub async fn run(&self, input: Tensor) -> Result<JobOutput, Problem> {
        let (reply, answer) = oneshot::channel();
        self.queue.lock().jobs.push_back(Job {
            input,
            ready: Instant::now(),
            reply,
        });
        self.queue.changed.notify_one();
        answer
            .await
            .unwrap_or_else(|_| Err(Problem::internal("the model's thread has ended")))
    }
}

impl Drop for BatchWorker {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_one();
        // Detached, not joined: the last owner may be an async task, which must not block on a run.
        drop(self.thread.take());
    }
}

impl JobQueue {
    /// The list is consistent between any two statements, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, PendingJobs> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        pending: MutexGuard<'a, PendingJobs>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, PendingJobs> {
        match limit {
            None => {
                let woken = self.changed.wait(pending);
                woken.unwrap_or_else(PoisonError::into_inner)
            }
            Some(limit) => {
                let woken = self.changed.wait_timeout(pending, limit);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

/// What the thread owns.
struct BatchLoop {
    queue: Arc<JobQueue>,
    model: Arc<Model>,
    admission: Arc<AdmissionController>,
    policy: BatchPolicy,
    on_run: OnRun,
}

impl BatchLoop {
    fn run(self) {
        let mut stacked = Tensor::default();
        while let Some(jobs) = self.next_batch() {
            self.run_batch(jobs, &mut stacked);
        }
    }

    /// The jobs of the next run; `None` once the queue is closed and empty.
    fn next_batch(&self) -> Option<Vec<Job>> {
        let max_batch = self.policy.max_batch;
        let mut pending = self.queue.lock();
        loop {
            // A closed reply means that the client has disconnected.
            pending.jobs.retain(|job| !job.reply.is_closed());
            let Some(oldest) = pending.jobs.front() else {
                if pending.closed {
                    return None;
                }
                pending = self.queue.wait(pending, None);
                continue;
            };
            // Run now unless waiting can pay off: the batch has space, another request is
            // admitted and will have its image ready soon, and the oldest job has not waited long enough.
            let due = oldest.ready + self.policy.max_delay;
            let remaining = due.saturating_duration_since(Instant::now());
            let has_space = next_batch_size(&pending.jobs, max_batch).1 < max_batch;
            let others_prepare = self.admission.admitted() > pending.jobs.len();
            if has_space && others_prepare && !remaining.is_zero() && !pending.closed {
                pending = self.queue.wait(pending, Some(remaining));
                continue;
            }
            return Some(take_batch(&mut pending.jobs, max_batch));
        }
    }

    fn run_batch(&self, jobs: Vec<Job>, stacked: &mut Tensor) {
        let start = Instant::now();
        let input = match jobs.as_slice() {
            [only] => &only.input,
            several => {
                stack(stacked, several);
                &*stacked
            }
        };
        let images = rows(input.shape());
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
            self.admission.record_run(time, images);
            (self.on_run)(images, time);
        }
        let mut row = 0;
        for job in jobs {
            let own = rows(job.input.shape());
            let output = outputs.clone().map(|outputs| JobOutput {
                outputs,
                row,
                waited: start.saturating_duration_since(job.ready),
                time,
                batch: images,
            });
            row += own;
            let _ = job.reply.send(output);
        }
    }
}

fn rows(shape: &Shape) -> usize {
    shape.first().copied().unwrap_or(1)
}

/// How many jobs the next batch takes, and how many images they have. Jobs of another shape are
/// skipped; a job that does not fit ends the batch, so that jobs of one shape stay in order.
fn next_batch_size(jobs: &VecDeque<Job>, max_batch: usize) -> (usize, usize) {
    let Some(oldest) = jobs.front() else {
        return (0, 0);
    };
    let (mut count, mut images) = (0, 0);
    for job in jobs.iter().filter(|job| same_shape(job, oldest)) {
        let own = rows(job.input.shape());
        if count > 0 && images + own > max_batch {
            break;
        }
        count += 1;
        images += own;
    }
    (count, images)
}

fn same_shape(a: &Job, b: &Job) -> bool {
    a.input.shape()[1..] == b.input.shape()[1..]
}

/// Removes the oldest job and those that share its run.
fn take_batch(jobs: &mut VecDeque<Job>, max_batch: usize) -> Vec<Job> {
    let (count, _) = next_batch_size(jobs, max_batch);
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

/// Copies the jobs' images into one tensor.
fn stack(stacked: &mut Tensor, jobs: &[Job]) {
    let mut extents = jobs[0].input.shape().to_vec();
    extents[0] = jobs.iter().map(|job| rows(job.input.shape())).sum();
    stacked.resize(&Shape::from(extents));
    let mut rest = stacked.data_mut();
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
        // Keeps the channel open; nobody receives.
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
    fn images_are_stacked_in_order() {
        let mut stacked = Tensor::default();
        stack(&mut stacked, &[job(1, 2, 1.0), job(2, 2, 3.0)]);
        assert_eq!(stacked.shape()[..], [3, 3, 2, 2]);
        assert_eq!(stacked.data()[11..13], [1.0, 3.0]);
    }
}
