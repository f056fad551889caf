//! The threads that run a model: prepared images in, predictions or raw outputs out.
//!
//! Jobs of the same kind and size that are ready together share a run, up to the largest batch,
//! whatever their thresholds are. A thread waits for further jobs only while admitted requests are
//! still being prepared, and never longer than the configured delay. What an image gives does not
//! depend on which others share its run.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use onelook::graph::RunOutput;
use onelook::{Model, PreparedInput};
use tokio::sync::oneshot;

use crate::admission::AdmissionController;
use crate::locks::lock;
use crate::problem::Problem;

/// How jobs are put into batches, and how many batches run at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPolicy {
    /// Largest number of images in one run.
    pub max_batch: usize,
    /// Longest time that a ready image waits for others to share its run.
    pub max_delay: Duration,
    /// Number of threads, each with a run of its own.
    pub threads: usize,
}

/// A job's part of a run.
#[derive(Debug, Clone)]
pub struct JobOutput {
    /// What the run gave for the whole batch.
    pub output: Arc<RunOutput>,
    /// Index of the job's first image in it.
    pub index: usize,
    /// Time between being ready and the start of the run.
    pub waited: Duration,
    /// Time of the run.
    pub time: Duration,
    /// Number of images in the run.
    pub batch: usize,
}

struct Job {
    input: PreparedInput<'static>,
    /// What it was admitted as.
    work: u64,
    ready: Instant,
    reply: oneshot::Sender<Result<JobOutput, Problem>>,
}

#[derive(Default)]
struct PendingJobs {
    jobs: VecDeque<Job>,
    /// Number of jobs in the runs in progress.
    running: usize,
    closed: bool,
}

/// Jobs on their way to the threads.
struct JobQueue {
    pending: Mutex<PendingJobs>,
    changed: Condvar,
}

/// Called after each run with the number of images and the time it took.
pub type OnRun = Box<dyn Fn(usize, Duration) + Send + Sync>;

/// Handle of a model's threads. When dropped, they finish the jobs they have and end.
pub struct BatchWorker {
    queue: Arc<JobQueue>,
}

impl BatchWorker {
    /// Starts the threads.
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
        // Dropped on an early return, so that the threads which did start end.
        let worker = Self {
            queue: Arc::clone(&queue),
        };
        let batches = Arc::new(BatchLoop {
            queue,
            model,
            admission,
            policy,
            on_run,
        });
        for _ in 0..policy.threads.max(1) {
            let batches = Arc::clone(&batches);
            // Detached: the last owner of a worker may be an async task, which must not block on a
            // run to join its thread.
            std::thread::Builder::new()
                .name("onelook-run".to_owned())
                .spawn(move || batches.run())?;
        }
        Ok(worker)
    }

    /// Runs an input, alone or in a batch with others.
    pub async fn run(
        &self,
        input: PreparedInput<'static>,
        work: u64,
    ) -> Result<JobOutput, Problem> {
        let (reply, answer) = oneshot::channel();
        self.queue.lock().jobs.push_back(Job {
            input,
            work,
            ready: Instant::now(),
            reply,
        });
        // All threads: the one that waits for company must see this job, whichever it is.
        self.queue.changed.notify_all();
        answer
            .await
            .unwrap_or_else(|_| Err(Problem::internal("the model's thread has ended")))
    }
}

impl Drop for BatchWorker {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
    }
}

impl JobQueue {
    /// The list is consistent between any two statements, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, PendingJobs> {
        lock(&self.pending)
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

/// What the threads share.
struct BatchLoop {
    queue: Arc<JobQueue>,
    model: Arc<Model>,
    admission: Arc<AdmissionController>,
    policy: BatchPolicy,
    on_run: OnRun,
}

impl BatchLoop {
    fn run(&self) {
        while let Some(jobs) = self.next_batch() {
            let count = jobs.len();
            self.run_batch(jobs);
            self.queue.lock().running -= count;
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
            // Run now unless waiting can pay off: the batch has space, another request is admitted
            // and will have its image ready soon, and the oldest job has not waited long enough.
            let due = oldest.ready + self.policy.max_delay;
            let remaining = due.saturating_duration_since(Instant::now());
            let (positions, images) = fitting(&pending.jobs, max_batch);
            let others_prepare = self.admission.admitted() > pending.jobs.len() + pending.running;
            if images < max_batch && others_prepare && !remaining.is_zero() && !pending.closed {
                pending = self.queue.wait(pending, Some(remaining));
                continue;
            }
            pending.running += positions.len();
            return Some(take(&mut pending.jobs, &positions));
        }
    }

    fn run_batch(&self, jobs: Vec<Job>) {
        let start = Instant::now();
        let inputs: Vec<&PreparedInput<'_>> = jobs.iter().map(|job| &job.input).collect();
        let images = inputs.iter().map(|input| input.images()).sum();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.model.run(&inputs)));
        let time = start.elapsed();
        let output = match outcome {
            Ok(Ok(output)) => Ok(Arc::new(output)),
            Ok(Err(error)) => Err(Problem::from(error)),
            Err(_) => Err(Problem::internal(
                "the network's run panicked: this is a bug in onelook, please report it",
            )),
        };
        if output.is_ok() {
            let work = jobs.iter().map(|job| job.work).sum();
            self.admission.record_run(time, work);
            (self.on_run)(images, time);
        }
        let mut index = 0;
        for job in jobs {
            let own = job.input.images();
            // Before the reply, so that its receiver may have the only reference to the image.
            drop(job.input);
            let output = output.clone().map(|output| JobOutput {
                output,
                index,
                waited: start.saturating_duration_since(job.ready),
                time,
                batch: images,
            });
            index += own;
            let _ = job.reply.send(output);
        }
    }
}

/// Positions of the jobs in the next batch, and how many images they have. Jobs of another kind or
/// size are skipped; a job that does not fit ends the batch, so that jobs of one size stay in order.
fn fitting(jobs: &VecDeque<Job>, max_batch: usize) -> (Vec<usize>, usize) {
    let (mut positions, mut images) = (Vec::new(), 0);
    let Some(oldest) = jobs.front() else {
        return (positions, images);
    };
    let key = oldest.input.key();
    for (position, job) in jobs.iter().enumerate() {
        if job.input.key() != key {
            continue;
        }
        let own = job.input.images();
        if !positions.is_empty() && images + own > max_batch {
            break;
        }
        positions.push(position);
        images += own;
    }
    (positions, images)
}

fn take(jobs: &mut VecDeque<Job>, positions: &[usize]) -> Vec<Job> {
    let from_the_back = positions.iter().rev();
    let mut taken: Vec<Job> = from_the_back
        .filter_map(|&position| jobs.remove(position))
        .collect();
    taken.reverse();
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook::types::Tensor;

    fn job(images: usize, height: usize, value: f32) -> Job {
        let (reply, answer) = oneshot::channel();
        // Keeps the channel open; nobody receives.
        std::mem::forget(answer);
        Job {
            input: PreparedInput::Tensor(Tensor::from_fn([images, 3, height, 2], |_| value)),
            work: 1,
            ready: Instant::now(),
            reply,
        }
    }

    fn next(jobs: &mut VecDeque<Job>, max_batch: usize) -> Vec<f32> {
        let (positions, _) = fitting(jobs, max_batch);
        let taken = take(jobs, &positions);
        let value = |job: Job| job.input.to_tensor().data()[0];
        taken.into_iter().map(value).collect()
    }

    #[test]
    fn only_one_size_shares_a_run_and_the_oldest_comes_first() {
        let mut jobs: VecDeque<Job> = [(1, 2, 1.0), (1, 4, 2.0), (2, 2, 3.0), (1, 2, 4.0)]
            .map(|(images, height, value)| job(images, height, value))
            .into();
        assert_eq!(next(&mut jobs, 3), [1.0, 3.0]);
        assert_eq!(next(&mut jobs, 3), [2.0]);
        assert_eq!(next(&mut jobs, 3), [4.0]);
    }

    #[test]
    fn a_request_larger_than_a_batch_runs_alone() {
        let mut jobs: VecDeque<Job> = [job(5, 2, 1.0), job(1, 2, 2.0)].into();
        assert_eq!(next(&mut jobs, 2), [1.0]);
        assert_eq!(next(&mut jobs, 2), [2.0]);
    }
}
