//! The path of a request through a model: admit, decode, prepare, run, finish.
//!
//! Every protocol comes through here, with images or with tensors, so that all of them share queues,
//! batches, statistics and metrics. What becomes of an image is the library's [`Pipeline`] alone.

mod decoded;
mod tensors;

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use onelook::graph::RunOutput;
use onelook::media::{self, DecodeError};
use onelook::types::{Frame, Instances, Prediction, Tensor};
use onelook::{Options, Pipeline, PreparedImage, PreparedInput, usable_cores};
use tokio::time::timeout_at;
use tracing::{Instrument, debug_span};

use crate::admission::{self, AdmissionError, AdmissionRequest, ClientKey, Permit};
use crate::blocking::blocking;
use crate::fair_semaphore::{FairPermits, FairSemaphore};
use crate::metrics::Metrics;
use crate::model_repository::{LoadedModel, ModelEntry};
use crate::problem::{Problem, ProblemKind};
use crate::request_context::RequestContext;
use crate::statistics::StageTimes;
use tensors::{join, rows, size, split, tensor_bytes};

/// From this confidence on, so few candidates pass that decoding them costs less than a change of
/// thread.
const CHEAP_CONFIDENCE: f32 = 0.05;

/// Up to this size the header of an image is found without a change of thread.
const SMALL_IMAGE: usize = 64 << 10;

/// The objects on an image.
pub struct DetectResult {
    /// The decoded image.
    pub frame: Arc<Frame>,
    /// What is odd about its file, though no pixel is missing.
    pub warnings: Vec<String>,
    /// What the model says of it.
    pub prediction: Prediction,
    /// Time of each stage.
    pub times: StageTimes,
    /// The frame's memory.
    _memory: FairPermits,
}

impl DetectResult {
    /// The objects on the image.
    pub fn instances(&self) -> &Instances {
        self.prediction.instances()
    }
}

/// Runs models on requests.
#[derive(Clone)]
pub struct InferenceService {
    metrics: Arc<Metrics>,
    limits: media::Limits,
    /// Bytes of images and tensors at work, from the first decoded pixel to the answer.
    memory: FairSemaphore,
    decoders: FairSemaphore,
    encoders: FairSemaphore,
}

impl InferenceService {
    /// A service that decodes images within these limits, in so many bytes for all that are at work.
    pub fn new(metrics: Arc<Metrics>, limits: media::Limits, working_bytes: u64) -> Self {
        Self {
            metrics,
            limits,
            memory: FairSemaphore::new(working_bytes),
            // One client alone keeps every core busy, and leaves as many for the others.
            decoders: FairSemaphore::new(2 * usable_cores() as u64 + 1),
            encoders: FairSemaphore::new(8 + 4 * usable_cores() as u64),
        }
    }

    /// Detects objects on an encoded image.
    pub async fn detect(
        &self,
        entry: &Arc<ModelEntry>,
        context: &RequestContext,
        image: Bytes,
        options: &Options,
    ) -> Result<DetectResult, Problem> {
        let start = Instant::now();
        let outcome = self.detect_once(entry, context, image, options).await;
        let times = outcome.as_ref().map(|result| &result.times);
        self.record(entry, start.elapsed(), times);
        outcome.inspect(|result| {
            let objects = self.metrics.detections.with_label_values(&[&entry.name]);
            objects.inc_by(result.instances().len() as u64);
        })
    }

    async fn detect_once(
        &self,
        entry: &Arc<ModelEntry>,
        context: &RequestContext,
        image: Bytes,
        options: &Options,
    ) -> Result<DetectResult, Problem> {
        let mut times = StageTimes::default();
        let loaded = entry.loaded()?;
        let metadata = loaded.model.metadata();
        let size = options.rounded_size(metadata)?;
        // An image costs its decoding, however small the network's input is.
        let least = admission::work(1, metadata.image_size);
        let request = context.admission_request(admission::work(1, size).max(least));
        drop(loaded);
        let (loaded, permit) = self.admit(entry, &request, &mut times).await?;
        let pipeline = Arc::new(Pipeline::new(Arc::clone(&loaded.model), options.clone())?);
        let decoder = ImageDecoder {
            limits: self.limits,
            input_bytes: tensor_bytes(1, size),
            pipeline: Arc::clone(&pipeline),
        };
        let (bytes, decoder, image) = decoder.needed_bytes(image).await?;
        // Memory before a thread: whoever waits for memory must not keep others from theirs.
        let start = Instant::now();
        let memory = self.take(&request, bytes).await?;
        let thread = self.decoders.acquire(&request.client, 1);
        let thread = timeout_at(request.deadline, thread).await;
        let thread = thread.map_err(|_| out_of_time())?;
        times.queue += start.elapsed();
        let span = debug_span!("decode and prepare");
        // The permits go along: a client that leaves does not end what was begun for it.
        let prepared = blocking(move || {
            let _thread = thread;
            (span.in_scope(|| decoder.prepare(&image, memory)), permit)
        });
        let (prepared, permit) = prepared.await?;
        let prepared = prepared?;
        times.decode = prepared.decode;
        times.preprocess = prepared.prepare;
        let run = Run {
            loaded: &loaded,
            pipeline,
            work: request.work,
        };
        let prediction = run.finish(prepared.image, permit, &mut times).await?;
        Ok(DetectResult {
            frame: prepared.frame,
            warnings: prepared.warnings,
            prediction,
            times,
            _memory: prepared.memory,
        })
    }

    /// Runs the network on a tensor of this shape as it is, and returns the one output that an exported
    /// model has. `input` is called once the request is admitted.
    pub async fn output0(
        &self,
        entry: &Arc<ModelEntry>,
        context: &RequestContext,
        [images, _, height, width]: [usize; 4],
        input: impl FnOnce() -> Tensor + Send + 'static,
    ) -> Result<Tensor, Problem> {
        let start = Instant::now();
        let mut times = StageTimes::default();
        let size = [height, width];
        let request = context.admission_request(admission::work(images, size));
        // Input, output, and the output once more in the form of the answer.
        let bytes = 3 * tensor_bytes(images, size);
        let outcome = self.output0_once(entry, &request, bytes, input, &mut times);
        let outcome = outcome.await;
        self.record(entry, start.elapsed(), outcome.as_ref().map(|_| &times));
        outcome
    }

    async fn output0_once(
        &self,
        entry: &Arc<ModelEntry>,
        request: &AdmissionRequest,
        bytes: u64,
        input: impl FnOnce() -> Tensor + Send + 'static,
        times: &mut StageTimes,
    ) -> Result<Tensor, Problem> {
        let (loaded, permit) = self.admit(entry, request, times).await?;
        // After the permit, as for images: two orders could wait for each other.
        let _memory = self.take(request, bytes).await?;
        let start = Instant::now();
        let input = blocking(input).await?;
        times.preprocess = start.elapsed();
        let mut runs = Vec::new();
        // One request never makes a run larger than a batch, however many images it has.
        for part in split(input, loaded.max_batch) {
            let (own, size) = (rows(&part), size(&part));
            let work = admission::work(own, size);
            let run = loaded.worker.run(PreparedInput::Tensor(part), work);
            let output = run.instrument(debug_span!("inference")).await?;
            times.queue += output.waited;
            times.inference += output.time;
            times.batch = output.batch;
            runs.push((output.index..output.index + own, size, output.output));
        }
        drop(permit);
        let start = Instant::now();
        let model = Arc::clone(&loaded.model);
        let decode = move || {
            let decode = |(own, size, output): (Range<usize>, _, Arc<RunOutput>)| match &*output {
                RunOutput::Raw(outputs) => Ok(model.decode_output0(outputs, own, size)?),
                RunOutput::Predictions(_) => Err(Problem::internal("a tensor gave predictions")),
            };
            runs.into_iter().map(decode).collect::<Result<Vec<_>, _>>()
        };
        let output = join(blocking(decode).await??);
        times.postprocess = start.elapsed();
        Ok(output)
    }

    async fn take(&self, request: &AdmissionRequest, bytes: u64) -> Result<FairPermits, Problem> {
        let taken = self.memory.acquire(&request.client, bytes);
        let taken = timeout_at(request.deadline, taken);
        taken.await.map_err(|_| out_of_memory())
    }

    /// Refuses a request that would not be admitted. Called before its body is read.
    pub fn precheck(&self, entry: &ModelEntry, context: &RequestContext) -> Result<(), Problem> {
        let loaded = entry.loaded()?;
        let least = admission::work(1, loaded.model.metadata().image_size);
        let request = context.admission_request(least);
        match loaded.admission.precheck(&request) {
            // Closed means that this version is being replaced: the next one will admit it.
            Ok(()) | Err(AdmissionError::Closed) => Ok(()),
            Err(error) => Err(admission_problem(entry, error)),
        }
    }

    async fn admit(
        &self,
        entry: &Arc<ModelEntry>,
        request: &AdmissionRequest,
        times: &mut StageTimes,
    ) -> Result<(Arc<LoadedModel>, Permit), Problem> {
        let start = Instant::now();
        loop {
            let loaded = entry.loaded()?;
            let admitted = loaded.admission.admit(request);
            match admitted.instrument(debug_span!("queue")).await {
                Ok(permit) => {
                    times.queue = start.elapsed();
                    return Ok((loaded, permit));
                }
                // Another version took over between `loaded` and `admit`: ask that one.
                Err(AdmissionError::Closed) => tokio::task::yield_now().await,
                Err(error) => return Err(admission_problem(entry, error)),
            }
        }
    }

    /// Counts a request: its stages if it was answered, its problem if not.
    fn record(&self, entry: &ModelEntry, whole: Duration, outcome: Result<&StageTimes, &Problem>) {
        match outcome {
            Ok(times) => {
                entry.statistics.record_success(whole, times);
                self.metrics.record_success(&entry.name, whole, times);
            }
            Err(problem) => {
                entry.statistics.record_failure(whole);
                self.metrics.record_failure(&entry.name, problem.kind);
            }
        }
    }

    /// Draws on and encodes an image for an answer. Only as many as can be encoded soon are kept in
    /// memory; more wait until `patience` ends, each client for its own share.
    pub async fn encode<T: Send + 'static>(
        &self,
        entry: &ModelEntry,
        client: &ClientKey,
        patience: tokio::time::Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let start = Instant::now();
        let permit = timeout_at(patience, self.encoders.acquire(client, 1)).await;
        let permit = permit.map_err(|_| {
            let detail = "too many images wait to be drawn and encoded: try again later, or accept \
                          application/json";
            Problem::new(ProblemKind::Overloaded, detail).retry_after(Duration::from_secs(1))
        })?;
        // The permit goes along: a client that leaves does not end what was begun for it.
        let encoded = blocking(move || {
            let _permit = permit;
            work()
        })
        .await?;
        self.metrics
            .record_stage(&entry.name, "encode", start.elapsed());
        Ok(encoded)
    }
}

/// A run of one image.
struct Run<'a> {
    loaded: &'a LoadedModel,
    pipeline: Arc<Pipeline>,
    work: u64,
}

impl Run<'_> {
    /// Runs the network on a prepared image and reads its output.
    async fn finish(
        self,
        image: PreparedImage<'static>,
        permit: Permit,
        times: &mut StageTimes,
    ) -> Result<Prediction, Problem> {
        let PreparedImage { input, placement } = image;
        let run = self.loaded.worker.run(input, self.work);
        let output = run.instrument(debug_span!("inference")).await?;
        // The next request may prepare its image while this one's boxes are read.
        drop(permit);
        times.queue += output.waited;
        times.inference = output.time;
        times.batch = output.batch;
        let start = Instant::now();
        let span = debug_span!("finish");
        let pipeline = self.pipeline;
        let is_cheap = match *output.output {
            // The engine has done the work.
            RunOutput::Predictions(_) => true,
            RunOutput::Raw(_) => pipeline.options().thresholds.confidence >= CHEAP_CONFIDENCE,
        };
        let finish =
            move || span.in_scope(|| pipeline.finish(&placement, &output.output, output.index));
        let prediction = match is_cheap {
            true => finish()?,
            false => blocking(finish).await??,
        };
        times.postprocess = start.elapsed();
        Ok(prediction)
    }
}

struct PreparedRequest {
    frame: Arc<Frame>,
    warnings: Vec<String>,
    image: PreparedImage<'static>,
    decode: Duration,
    prepare: Duration,
    memory: FairPermits,
}

/// Decodes an image and prepares it for the network, in memory that is taken ahead.
struct ImageDecoder {
    limits: media::Limits,
    /// What the network's input takes.
    input_bytes: u64,
    pipeline: Arc<Pipeline>,
}

impl ImageDecoder {
    /// What the image takes from here to the answer, by its header alone.
    async fn needed_bytes(self, image: Bytes) -> Result<(u64, Self, Bytes), Problem> {
        let is_small = image.len() <= SMALL_IMAGE;
        let look = move || {
            let needed = Cell::new(None);
            let stop = |bytes| {
                needed.set(Some(bytes));
                false
            };
            match (
                media::decode_image_within(&image, &self.limits, &stop),
                needed.get(),
            ) {
                (_, Some(bytes)) => Ok((self.input_bytes.saturating_add(bytes), self, image)),
                (Err(error), None) => Err(decode_problem(&error)),
                (Ok(_), None) => Err(Problem::internal("an image took no memory")),
            }
        };
        match is_small {
            true => look(),
            false => blocking(look).await?,
        }
    }

    fn prepare(&self, image: &[u8], mut memory: FairPermits) -> Result<PreparedRequest, Problem> {
        let start = Instant::now();
        let image = media::decode_image(image, &self.limits);
        let image = image.map_err(|error| decode_problem(&error))?;
        let frame = Arc::new(image.frame);
        memory.shrink_to(frame.pixels().len() as u64 + self.input_bytes);
        let decoded = Instant::now();
        Ok(PreparedRequest {
            image: self.pipeline.prepare(Arc::clone(&frame)),
            frame,
            warnings: image.warnings.iter().map(ToString::to_string).collect(),
            decode: decoded - start,
            prepare: decoded.elapsed(),
            memory,
        })
    }
}

fn out_of_time() -> Problem {
    let detail = "the image could not be decoded before the deadline: try again later";
    Problem::new(ProblemKind::Deadline, detail).retry_after(Duration::from_secs(1))
}

fn out_of_memory() -> Problem {
    let detail = "the memory for images at work was not free before the deadline: try again later";
    Problem::new(ProblemKind::Deadline, detail).retry_after(Duration::from_secs(1))
}

/// Why an image cannot be decoded. Limits are named by the server's flags: the library, whose
/// callers set them in code, cannot do that.
fn decode_problem(error: &DecodeError) -> Problem {
    match error {
        DecodeError::TooManyPixels {
            width,
            height,
            max_pixels,
            ..
        } => Problem::new(
            ProblemKind::TooLarge,
            format!(
                "the image has {width}x{height} pixels, this server accepts at most {max_pixels}: \
                 scale it down, or start the server with a larger --max-pixels"
            ),
        ),
        DecodeError::TooManyBytes { max_bytes, .. } => Problem::too_large(*max_bytes),
        DecodeError::Empty | DecodeError::UnknownFormat { .. } => {
            Problem::new(ProblemKind::Unsupported, error.to_string())
        }
        _ => Problem::new(ProblemKind::Unprocessable, error.to_string()),
    }
}

fn admission_problem(entry: &ModelEntry, error: AdmissionError) -> Problem {
    let name = &entry.name;
    match error {
        AdmissionError::QueueFull {
            own_fault,
            retry_after,
        } => {
            let (kind, reason) = match own_fault {
                true => (
                    ProblemKind::TooMany,
                    "is full, mostly with this client's requests: send fewer at a time",
                ),
                false => (ProblemKind::Overloaded, "is full: try again later"),
            };
            Problem::new(kind, format!("the queue of model '{name}' {reason}"))
                .retry_after(retry_after)
        }
        AdmissionError::Deadline { retry_after } => Problem::new(
            ProblemKind::Deadline,
            format!("model '{name}' is too busy to answer within the deadline: try again later"),
        )
        .retry_after(retry_after),
        AdmissionError::Closed => Problem::new(
            ProblemKind::NotReady,
            format!("model '{name}' is being unloaded"),
        ),
    }
}
