//! The quay of a request: door, decode, preprocess, run, postprocess; for pictures and for tensors.
//!
//! Every protocol comes through here, so that all of them share queues, batches and figures.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use onelook::media::{self, DecodeError};
use onelook::types::{Detections, Frame, Tensor};
use onelook::{Options, Pipeline, Prepared, usable_cores};
use tokio::sync::Semaphore;
use tracing::{Instrument, debug_span};

use crate::admission::{Ask, ClientKey, Permit, Priority, Refusal};
use crate::metrics::Metrics;
use crate::model_repository::{Served, Slot};
use crate::problem::{Kind, Problem};
use crate::statistics::Times;

/// Who asks, how urgently, until when.
#[derive(Debug, Clone)]
pub struct Errand {
    /// Whose it is, as far as fairness goes.
    pub client: ClientKey,
    /// How urgent it is.
    pub priority: Priority,
    /// When an answer is of no use any more.
    pub deadline: tokio::time::Instant,
}

impl Errand {
    /// What is said at a model's door.
    pub fn ask(&self, pictures: usize) -> Ask {
        Ask {
            client: Arc::clone(&self.client),
            priority: self.priority,
            pictures: pictures as u64,
            deadline: self.deadline,
        }
    }
}

/// What was found on a picture.
#[derive(Debug)]
pub struct Found {
    /// The picture as decoded.
    pub frame: Frame,
    /// What is on it.
    pub detections: Detections,
    /// What it took.
    pub times: Times,
    /// Pictures in its run.
    pub batch: usize,
}

/// The way of requests to a model and back.
#[derive(Clone)]
pub struct Stations {
    metrics: Arc<Metrics>,
    limits: media::Limits,
    easels: Arc<Semaphore>,
}

impl Stations {
    /// Stations that note what they do, and decode within these limits.
    pub fn new(metrics: Arc<Metrics>, limits: media::Limits) -> Self {
        Self {
            metrics,
            limits,
            easels: Arc::new(Semaphore::new(8 + 4 * usable_cores())),
        }
    }

    /// Finds objects on an encoded picture.
    pub async fn detect(
        &self,
        slot: &Arc<Slot>,
        errand: &Errand,
        picture: Bytes,
        options: &Options,
    ) -> Result<Found, Problem> {
        let start = Instant::now();
        let outcome = self.detect_once(slot, errand, picture, options).await;
        match &outcome {
            Ok(found) => self.note(slot, start.elapsed(), &found.times),
            Err(problem) => self.note_failure(slot, start.elapsed(), problem),
        }
        outcome.inspect(|found| {
            let objects = found.detections.len() as u64;
            let objects_of = self.metrics.detections.with_label_values(&[&slot.name]);
            objects_of.inc_by(objects);
        })
    }

    async fn detect_once(
        &self,
        slot: &Arc<Slot>,
        errand: &Errand,
        picture: Bytes,
        options: &Options,
    ) -> Result<Found, Problem> {
        let mut times = Times::default();
        let (served, permit) = self.enter(slot, &errand.ask(1), &mut times).await?;
        let pipeline = Arc::new(Pipeline::new(Arc::clone(&served.model), options.clone())?);
        let (fitting, limits) = (Arc::clone(&pipeline), self.limits);
        let station = debug_span!("decode and preprocess");
        let fitted = blocking(move || station.in_scope(|| fit(&picture, &limits, &fitting)));
        let fitted = fitted.await??;
        times.decode = fitted.decode;
        times.preprocess = fitted.preprocess;
        let run = served.worker.run(fitted.prepared.input);
        let ran = run.instrument(debug_span!("inference")).await?;
        drop(permit);
        times.queue += ran.waited;
        times.inference = ran.time;
        times.batch = ran.batch;
        let read = Instant::now();
        let station = debug_span!("postprocess");
        let placement = fitted.prepared.placement;
        let detections = match options.thresholds.confidence {
            // Few candidates: less work than a thread's change.
            confidence if confidence >= 0.05 => {
                station.in_scope(|| pipeline.postprocess(&ran.outputs, ran.row, &placement))?
            }
            _ => {
                let ran = ran.clone();
                let read = move || pipeline.postprocess(&ran.outputs, ran.row, &placement);
                blocking(move || station.in_scope(read)).await??
            }
        };
        times.postprocess = read.elapsed();
        Ok(Found {
            frame: fitted.frame,
            detections,
            times,
            batch: ran.batch,
        })
    }

    /// Runs the network on a tensor as it is; gives the one output that an exported model has.
    /// The tensor is made when its turn has come.
    pub async fn output0(
        &self,
        slot: &Arc<Slot>,
        errand: &Errand,
        pictures: usize,
        input: impl FnOnce() -> Tensor + Send + 'static,
    ) -> Result<Tensor, Problem> {
        let start = Instant::now();
        let mut times = Times::default();
        let ask = errand.ask(pictures);
        let outcome = self.output0_once(slot, &ask, input, &mut times).await;
        match &outcome {
            Ok(_) => self.note(slot, start.elapsed(), &times),
            Err(problem) => self.note_failure(slot, start.elapsed(), problem),
        }
        outcome
    }

    async fn output0_once(
        &self,
        slot: &Arc<Slot>,
        ask: &Ask,
        input: impl FnOnce() -> Tensor + Send + 'static,
        times: &mut Times,
    ) -> Result<Tensor, Problem> {
        let (served, permit) = self.enter(slot, ask, times).await?;
        let start = Instant::now();
        let input = blocking(input).await?;
        times.preprocess = start.elapsed();
        let mut runs = Vec::new();
        // No run is larger than those of the batches, whatever one request asks for.
        for part in parts(input, served.max_batch) {
            let (own, size) = (rows(&part), size(&part));
            let run = served.worker.run(part);
            let ran = run.instrument(debug_span!("inference")).await?;
            times.queue += ran.waited;
            times.inference += ran.time;
            times.batch = ran.batch;
            runs.push((ran.row..ran.row + own, size, ran.outputs));
        }
        drop(permit);
        let start = Instant::now();
        let model = Arc::clone(&served.model);
        let decode = move || {
            let decode = |(own, size, outputs): (Range<usize>, _, Arc<Vec<Tensor>>)| {
                model.decode_output0(&outputs, own, size)
            };
            runs.into_iter().map(decode).collect::<Result<Vec<_>, _>>()
        };
        let output = joined(blocking(decode).await??);
        times.postprocess = start.elapsed();
        Ok(output)
    }

    /// Refuses what would be refused at the door; to be asked before a body is read.
    pub fn knock(&self, slot: &Slot, ask: &Ask) -> Result<(), Problem> {
        match slot.served()?.gate.admits(ask) {
            // A new version is about to open its door.
            Ok(()) | Err(Refusal::Closed) => Ok(()),
            Err(refusal) => Err(refused(slot, refusal)),
        }
    }

    async fn enter(
        &self,
        slot: &Arc<Slot>,
        ask: &Ask,
        times: &mut Times,
    ) -> Result<(Arc<Served>, Permit), Problem> {
        let start = Instant::now();
        loop {
            let served = slot.served()?;
            let entered = served.gate.enter(ask);
            match entered.instrument(debug_span!("queue")).await {
                Ok(permit) => {
                    times.queue = start.elapsed();
                    return Ok((served, permit));
                }
                // Another version took over between the look and the door.
                Err(Refusal::Closed) => tokio::task::yield_now().await,
                Err(refusal) => return Err(refused(slot, refusal)),
            }
        }
    }

    fn note(&self, slot: &Slot, whole: Duration, times: &Times) {
        slot.statistics.succeeded(whole, times);
        let stage = |name: &str, time: Duration| {
            if !time.is_zero() {
                self.metrics.stage(&slot.name, name, time);
            }
        };
        stage("decode", times.decode);
        self.metrics.stage(&slot.name, "queue", times.queue);
        stage("preprocess", times.preprocess);
        stage("inference", times.inference);
        stage("postprocess", times.postprocess);
        self.metrics.answered(&slot.name, whole, times);
    }

    fn note_failure(&self, slot: &Slot, whole: Duration, problem: &Problem) {
        slot.statistics.failed(whole);
        self.metrics.refused(&slot.name, problem.kind);
    }

    /// Draws and encodes an answer's picture. Only so many are in memory at a time: more of them than
    /// can be encoded are refused.
    pub async fn encode<T: Send + 'static>(
        &self,
        slot: &Slot,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let start = Instant::now();
        let _easel = self.easels.try_acquire().map_err(|_| {
            let detail = "more pictures wait to be drawn than can be: try again later, or accept \
                          application/json";
            Problem::new(Kind::Overloaded, detail).retry_after(Duration::from_secs(1))
        })?;
        let drawn = blocking(work).await?;
        self.metrics.stage(&slot.name, "encode", start.elapsed());
        Ok(drawn)
    }
}

/// Runs what takes long away from the threads that answer.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::internal(format!("a worker thread failed: {error}")))
}

fn rows(tensor: &Tensor) -> usize {
    tensor.shape().first().copied().unwrap_or(1)
}

fn size(input: &Tensor) -> [usize; 2] {
    input.shape().nchw().map_or([0, 0], |[_, _, h, w]| [h, w])
}

/// The pictures of a tensor in parts of at most so many.
fn parts(tensor: Tensor, most: usize) -> Vec<Tensor> {
    if rows(&tensor) <= most {
        return vec![tensor];
    }
    let picture = tensor.data().len() / rows(&tensor);
    let part = |data: &[f32]| {
        let mut extents = tensor.shape().to_vec();
        extents[0] = data.len() / picture;
        Tensor::new(extents, data.to_vec()).expect("a part holds whole pictures")
    };
    tensor.data().chunks(most * picture).map(part).collect()
}

/// The parts as one tensor again.
fn joined(mut parts: Vec<Tensor>) -> Tensor {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let mut extents = parts[0].shape().to_vec();
    extents[0] = parts.iter().map(rows).sum();
    let data = parts.into_iter().flat_map(Tensor::into_data).collect();
    Tensor::new(extents, data).expect("all parts are of one model and one size")
}

struct Fitted {
    frame: Frame,
    prepared: Prepared,
    decode: Duration,
    preprocess: Duration,
}

fn fit(picture: &[u8], limits: &media::Limits, pipeline: &Pipeline) -> Result<Fitted, Problem> {
    let start = Instant::now();
    let frame = media::decode(picture, limits).map_err(|error| undecodable(&error))?;
    let decoded = Instant::now();
    let prepared = pipeline.preprocess(&frame);
    Ok(Fitted {
        frame,
        prepared,
        decode: decoded - start,
        preprocess: decoded.elapsed(),
    })
}

fn undecodable(error: &DecodeError) -> Problem {
    let kind = match error {
        DecodeError::TooManyPixels { .. } | DecodeError::TooManyBytes { .. } => Kind::TooLarge,
        DecodeError::Empty | DecodeError::UnknownFormat { .. } => Kind::Unsupported,
        _ => Kind::Unprocessable,
    };
    Problem::new(kind, error.to_string())
}

/// A refusal at the door in words.
fn refused(slot: &Slot, refusal: Refusal) -> Problem {
    let name = &slot.name;
    match refusal {
        Refusal::Full {
            own_fault: true,
            retry_after,
        } => Problem::new(
            Kind::TooMany,
            format!("the queue of model '{name}' is full and most of it is this client's: send fewer requests at a time"),
        )
        .retry_after(retry_after),
        Refusal::Full {
            own_fault: false,
            retry_after,
        } => Problem::new(
            Kind::Overloaded,
            format!("the queue of model '{name}' is full: try again later"),
        )
        .retry_after(retry_after),
        Refusal::Deadline { retry_after } => Problem::new(
            Kind::Deadline,
            format!("model '{name}' has too much to do to answer within the deadline: try again later"),
        )
        .retry_after(retry_after),
        Refusal::Closed => Problem::new(
            Kind::NotReady,
            format!("model '{name}' is being unloaded"),
        ),
    }
}
