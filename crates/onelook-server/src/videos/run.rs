//! Runs one video: frames from ffmpeg, each a request of low priority to the inference service, tracked and
//! counted, as JSON lines.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use onelook::media::video::{Next, VideoFrame, VideoStream};
use onelook::record::objects;
use onelook::tracking::FrameTracker;
use onelook::types::{Frame, FrameView, Instances, Prediction};
use onelook::vision::analytics::Analytics;
use onelook::{Options, event_record, totals_record};
use serde_json::{Value, json};

use super::OpenVideo;
use super::job::{VideoJob, VideoState};
use crate::admission::Priority;
use crate::inference_service::InferenceService;
use crate::model_repository::ModelEntry;
use crate::problem::{Problem, ProblemKind};
use crate::request_context::RequestContext;

/// Most frames at work.
const MAX_BATCH: usize = 4;

/// How often a wait for a frame looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);

/// Longest wait of one frame for its turn, and of all attempts together.
const FRAME_LIMIT: Duration = Duration::from_secs(30);
const BUSY_LIMIT: Duration = Duration::from_secs(600);

/// A video that is to be run.
pub struct VideoRun {
    pub job: Arc<VideoJob>,
    pub container: &'static str,
    pub model: Arc<ModelEntry>,
    pub inference: InferenceService,
    pub open: Arc<OpenVideo>,
}

/// Why it did not come to its end.
enum Stop {
    Cancelled,
    Failed(String),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem.detail)
    }
}

impl VideoRun {
    /// Runs it to its end.
    pub async fn run(self) {
        let job = Arc::clone(&self.job);
        job.set_state(VideoState::Running);
        let runtime = tokio::runtime::Handle::current();
        let (done, ended) = tokio::sync::oneshot::channel();
        // A thread of its own: it waits for ffmpeg and for the disk.
        let thread = std::thread::Builder::new().name("video".to_owned());
        let started = thread.spawn(move || {
            let _ = done.send(self.run_on(&runtime));
        });
        let outcome = match started {
            Ok(_) => ended
                .await
                .unwrap_or_else(|_| Err(Stop::Failed("it has panicked".to_owned()))),
            Err(error) => Err(Stop::Failed(format!("no thread: {error}"))),
        };
        job.update(|progress| match outcome {
            Ok(()) => progress.state = VideoState::Done,
            Err(Stop::Cancelled) => progress.state = VideoState::Cancelled,
            Err(Stop::Failed(reason)) => {
                progress.state = VideoState::Failed;
                progress.error = Some(reason);
            }
        });
    }

    fn run_on(&self, runtime: &tokio::runtime::Handle) -> Result<(), Stop> {
        let path = self.job.video_path().ok_or(Stop::Cancelled)?;
        // The path is nobody's business.
        let failed = |error: &dyn std::fmt::Display| Stop::Failed(told(error, &path));
        let mut video = (self.open)(&path, self.container).map_err(|error| failed(&error))?;
        let loaded = self.model.loaded()?;
        let width = loaded.max_batch.clamp(1, MAX_BATCH);
        let names = loaded.model.metadata().names.clone();
        drop(loaded);
        let mut results = Results::new(&self.job, names);
        loop {
            let (frames, end) = self.next_frames(&mut video, width)?;
            if !frames.is_empty() {
                self.describe(&video, &frames[0], &mut results)?;
                let frames: Vec<_> = frames.into_iter().filter(|it| results.is_due(it)).collect();
                let decoded = frames.into_iter().map(|frame| {
                    let (number, time) = (frame.number, frame.time);
                    let frame = frame.into_frame().map_err(|error| failed(&error))?;
                    Ok((number, time, Arc::new(frame)))
                });
                let decoded = decoded.collect::<Result<Vec<_>, Stop>>()?;
                let runs = decoded.iter().map(|(.., frame)| self.detect(frame));
                let found = runtime.block_on(join_all(runs));
                for ((number, time, frame), found) in decoded.into_iter().zip(found) {
                    results.add(number, time, &frame, found?)?;
                }
                results.flush()?;
            }
            match end {
                None => {}
                Some(None) => return results.finish(),
                Some(Some(error)) => return Err(failed(&error)),
            }
        }
    }

    /// The next frames: one that is waited for, and those that are there already. Then how it ended, if it did.
    #[allow(clippy::type_complexity, reason = "frames, and the end with its error")]
    fn next_frames(
        &self,
        video: &mut VideoStream,
        most: usize,
    ) -> Result<(Vec<VideoFrame>, Option<Option<String>>), Stop> {
        let mut frames = Vec::new();
        while frames.len() < most {
            if self.job.cancel_token().is_cancelled() {
                return Err(Stop::Cancelled);
            }
            let patience = if frames.is_empty() {
                LOOK
            } else {
                Duration::ZERO
            };
            match video.next_frame(Some(Instant::now() + patience)) {
                Next::Frame(frame) => frames.push(frame),
                Next::NotYet if frames.is_empty() => {}
                Next::NotYet => break,
                Next::Ended => return Ok((frames, Some(None))),
                Next::Failed(error) => return Ok((frames, Some(Some(error.to_string())))),
            }
        }
        Ok((frames, None))
    }

    fn describe(
        &self,
        video: &VideoStream,
        first: &VideoFrame,
        results: &mut Results<'_>,
    ) -> Result<(), Stop> {
        if results.is_described {
            return Ok(());
        }
        let info = video.info();
        let duration = info.as_ref().and_then(|info| info.duration);
        self.job.update(|progress| progress.duration = duration);
        results.begin(
            [first.width, first.height],
            json!({
                "file": self.job.name,
                "width": first.width,
                "height": first.height,
                "fps": info.as_ref().and_then(|info| info.fps),
                "duration": duration,
                "frames": info.as_ref().and_then(|info| info.frames),
            }),
        )
    }

    /// Objects on a frame. While the model is busy with others, it waits.
    async fn detect(&self, frame: &Arc<Frame>) -> Result<Instances, Stop> {
        let mut options = Options::default();
        options.thresholds.confidence = self.job.settings.least_confidence();
        let began = Instant::now();
        loop {
            let context = RequestContext {
                id: Arc::from(self.job.id.as_str()),
                caller: None,
                client: Arc::clone(&self.job.client),
                priority: Priority::Low,
                time_limit: FRAME_LIMIT,
                deadline: tokio::time::Instant::now() + FRAME_LIMIT,
            };
            let run = self
                .inference
                .detect_frame(&self.model, &context, frame, &options);
            let outcome = tokio::select! {
                outcome = run => outcome,
                () = self.job.cancelled() => return Err(Stop::Cancelled),
            };
            let problem = match outcome {
                Ok(Prediction::Instances(found)) => return Ok(found),
                Ok(_) => {
                    let reason = "the model classifies whole images and finds no boxes: choose one that detects";
                    return Err(Stop::Failed(reason.to_owned()));
                }
                Err(problem) => problem,
            };
            let is_busy = matches!(
                problem.kind,
                ProblemKind::TooMany
                    | ProblemKind::Overloaded
                    | ProblemKind::Deadline
                    | ProblemKind::NotReady
            );
            if !is_busy || began.elapsed() > BUSY_LIMIT {
                return Err(problem.into());
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.job.cancelled() => return Err(Stop::Cancelled),
            }
        }
    }
}

/// Tracks and counts, and writes lines.
struct Results<'a> {
    job: &'a VideoJob,
    names: Vec<String>,
    tracker: Option<FrameTracker>,
    places: Vec<Analytics>,
    lines: String,
    is_described: bool,
    last_time: Duration,
    next_due: f64,
    frames: u64,
}

impl<'a> Results<'a> {
    fn new(job: &'a VideoJob, names: Vec<String>) -> Self {
        // Checked when it was sent.
        let tracker = job.settings.tracker_settings().ok().flatten();
        Self {
            job,
            names,
            tracker: tracker.as_ref().map(FrameTracker::new),
            places: Vec::new(),
            lines: String::new(),
            is_described: false,
            last_time: Duration::ZERO,
            next_due: 0.0,
            frames: 0,
        }
    }

    fn begin(&mut self, size: [usize; 2], video: Value) -> Result<(), Stop> {
        self.is_described = true;
        let places = self.job.settings.analytics(size).map_err(Stop::Failed)?;
        self.places = places.into_iter().map(|(_, counter)| counter).collect();
        self.line(&json!({"video": video}));
        Ok(())
    }

    /// Whether a frame is to be run, by the frame rate that was asked for.
    fn is_due(&mut self, frame: &VideoFrame) -> bool {
        let (Some(fps), Some(time)) = (self.job.settings.fps, frame.time) else {
            return true;
        };
        let time = time.as_secs_f64();
        let is_due = time + 1e-6 >= self.next_due;
        if is_due {
            // On a grid, so that rounding does not add up; after a gap from there on.
            self.next_due = (self.next_due + 1.0 / fps).max(time + 0.5 / fps);
        }
        is_due
    }

    fn add(
        &mut self,
        number: u64,
        time: Option<Duration>,
        frame: &Frame,
        found: Instances,
    ) -> Result<(), Stop> {
        let time = time.unwrap_or(self.last_time);
        self.last_time = time;
        let view = FrameView::from(frame);
        let found = match &mut self.tracker {
            // What suppression dropped is not in the answers that requests get.
            Some(tracker) => tracker.update(&view, time, &found, &Instances::EMPTY),
            None => found,
        };
        let seconds = (time.as_secs_f64() * 1e4).round() / 1e4;
        let size = [frame.width(), frame.height()];
        let detections = objects(&found, &self.names, size);
        self.line(&json!({"frame": number, "time": seconds, "detections": detections}));
        let mut events = Vec::new();
        for counter in &mut self.places {
            events.extend(counter.update(time.as_secs_f64(), &found));
        }
        for event in events {
            let mut record = event_record(&event);
            let name = event.object.and_then(|object| self.names.get(object.class));
            record["name"] = json!(name);
            self.line(&json!({"event": record}));
        }
        self.frames += 1;
        let counts = self.counts();
        let frames = self.frames;
        self.job.update(|progress| {
            (progress.frames, progress.time, progress.counts) = (frames, seconds, counts);
        });
        Ok(())
    }

    fn counts(&self) -> Value {
        totals_record(&self.places)
    }

    fn line(&mut self, value: &Value) {
        // Writing to a string does not fail.
        let _ = writeln!(self.lines, "{value}");
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let lines = std::mem::take(&mut self.lines);
        Ok(self.job.write_results(&lines)?)
    }

    fn finish(mut self) -> Result<(), Stop> {
        if !self.is_described {
            return Err(Stop::Failed("the file has no frame".to_owned()));
        }
        let summary = json!({"summary": {"frames": self.frames, "counts": self.counts()}});
        self.line(&summary);
        self.flush()
    }
}

/// An error without the path of the file.
fn told(error: &dyn std::fmt::Display, path: &Path) -> String {
    let text = error.to_string();
    text.replace(&*path.to_string_lossy(), "the video")
}
