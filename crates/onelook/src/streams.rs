//! Many videos and cameras through one model: frames in as they come, results out with their stream.
//!
//! Each stream decodes on a thread of its own and waits for its turn with a frame or a few; whoever calls
//! [`Streams::next`] runs the model. Turns are fair by weight, so that a stream that is faster, larger or
//! broken takes nothing from the others. State of one stream (its tracker, its counts) is never another's.

mod frame_rate;
mod read_ahead;
mod settings;
mod turns;
mod wake;

use std::time::{Duration, Instant};

use onelook_media::video::{Next, StreamStatus, VideoError, VideoFrame, VideoInfo, VideoStream};
use onelook_types::{FrameView, Prediction};

use crate::tracking::FrameTracker;
use crate::{Error, ImageResult, Pipeline};
use frame_rate::FrameRate;
use read_ahead::ReadAhead;
pub use settings::StreamSettings;
use turns::{Turn, Turns};
use wake::{Wake, Woken};

/// How long the others wait for a frame that is needed before more of them are asked.
const PATIENCE: Duration = Duration::from_millis(50);

/// Identifies a stream among those of one [`Streams`]; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(u64);

/// What came of a stream.
#[derive(Debug)]
pub enum StreamEvent {
    /// A frame was run.
    Frame(Box<StreamResult>),
    /// It has ended, and is no longer among the streams. A live stream ends only by a failure that no
    /// further attempt can mend.
    Ended {
        /// Which stream.
        id: StreamId,
        /// Why, if it failed.
        error: Option<VideoError>,
    },
}

/// A frame of a stream and what the model says of it.
#[derive(Debug)]
pub struct StreamResult {
    /// Which stream.
    pub id: StreamId,
    /// The frame.
    pub frame: VideoFrame,
    /// Its objects; with ids if the stream has a tracker.
    pub result: ImageResult,
    /// From the arrival of the frame's last byte until its result.
    pub age: Duration,
}

/// What has become of a stream so far.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamReport {
    /// Of its decoding; `dropped` are frames that newer ones replaced.
    pub decoding: StreamStatus,
    /// Frames that were run.
    pub frames: u64,
    /// Frames that were left out to keep to the frame rate asked for.
    pub over_rate: u64,
    /// Frames that had waited too long when their turn came.
    pub too_old: u64,
    /// Age of the newest result.
    pub age: Option<Duration>,
}

/// Streams that share a model.
pub struct Streams {
    pipeline: Pipeline,
    keep_suppressed: bool,
    streams: Vec<Stream>,
    turns: Turns,
    read_ahead: ReadAhead,
    wake: Wake,
    next_id: u64,
}

struct Stream {
    id: StreamId,
    video: VideoStream,
    settings: StreamSettings,
    tracker: Option<FrameTracker>,
    turn: Turn,
    /// When its next frame is needed, where frames are read on demand and it was asked for.
    needed: Option<Instant>,
    rate: FrameRate,
    /// Time of the last frame that was run, for those whose time nobody knows.
    last_time: Duration,
    counts: Counts,
    /// That it has ended, and why if it failed.
    ended: Option<Option<VideoError>>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    frames: u64,
    over_rate: u64,
    too_old: u64,
    age: Option<Duration>,
}

impl Streams {
    /// No streams yet.
    pub fn new(pipeline: Pipeline) -> Self {
        Self {
            pipeline,
            keep_suppressed: false,
            streams: Vec::new(),
            turns: Turns::default(),
            read_ahead: ReadAhead::default(),
            wake: Wake::default(),
            next_id: 0,
        }
    }

    /// The model and its options.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Runs the streams with another model from now on; they and their trackers go on.
    pub fn set_pipeline(&mut self, pipeline: Pipeline) {
        self.pipeline = pipeline;
        self.settle_suppressed();
    }

    /// From now on, whether boxes that suppression dropped come with the results. The trackers of the
    /// streams' settings are given them anyway.
    pub fn keep_suppressed(&mut self, keep: bool) {
        self.keep_suppressed = keep;
        self.settle_suppressed();
    }

    fn settle_suppressed(&mut self) {
        let mut trackers = self.streams.iter().filter_map(|it| it.settings.tracker);
        let wanted = trackers.any(|it| it.options.wants_suppressed());
        self.pipeline
            .keep_suppressed(self.keep_suppressed || wanted);
    }

    /// Runs a stream with other settings from now on; its tracker goes on if it is to be the same. Whether
    /// the stream was there.
    pub fn set_settings(&mut self, id: StreamId, settings: StreamSettings) -> bool {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) else {
            return false;
        };
        if stream.settings.max_fps != settings.max_fps {
            stream.rate = FrameRate::new(settings.max_fps);
        }
        if stream.settings.tracker != settings.tracker {
            stream.tracker = settings.tracker.as_ref().map(FrameTracker::new);
        }
        stream.settings = settings;
        self.settle_suppressed();
        true
    }

    /// Adds a stream, also while others run.
    pub fn add(&mut self, video: VideoStream, settings: StreamSettings) -> StreamId {
        let id = StreamId(self.next_id);
        self.next_id += 1;
        let wake = self.wake.clone();
        video.on_change(move || wake.wake());
        self.streams.push(Stream {
            id,
            video,
            tracker: settings.tracker.as_ref().map(FrameTracker::new),
            rate: FrameRate::new(settings.max_fps),
            settings,
            turn: Turn::default(),
            needed: None,
            last_time: Duration::ZERO,
            counts: Counts::default(),
            ended: None,
        });
        self.settle_suppressed();
        id
    }

    /// Takes a stream away; its decoder ends. Whether it was there.
    pub fn remove(&mut self, id: StreamId) -> bool {
        let before = self.streams.len();
        self.streams.retain(|stream| stream.id != id);
        self.streams.len() < before
    }

    /// Whether no stream is left.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Wakes whoever waits in [`next`](Self::next), from another thread; it returns nothing.
    pub fn waker(&self) -> impl Fn() + Send + Sync + Clone + use<> {
        let wake = self.wake.clone();
        move || wake.interrupt()
    }

    /// What has become of a stream so far.
    pub fn report(&self, id: StreamId) -> Option<StreamReport> {
        let stream = self.streams.iter().find(|stream| stream.id == id)?;
        let Counts {
            frames,
            over_rate,
            too_old,
            age,
        } = stream.counts;
        Some(StreamReport {
            decoding: stream.video.status(),
            frames,
            over_rate,
            too_old,
            age,
        })
    }

    /// What a stream's video says of itself; absent before its first frame, and for live streams.
    pub fn info(&self, id: StreamId) -> Option<VideoInfo> {
        let stream = self.streams.iter().find(|stream| stream.id == id)?;
        stream.video.info()
    }

    /// What happens next: the results of one run, then ends of streams. Waits until `deadline`; nothing when
    /// it has passed, when it was [woken](Self::waker) or when no stream is left.
    ///
    /// # Errors
    /// The engine fails; the streams stay as they are.
    pub fn next(&mut self, deadline: Option<Instant>) -> Result<Vec<StreamEvent>, Error> {
        loop {
            // Before looking: what comes while nobody looks is not slept through.
            let ticket = self.wake.ticket();
            let now = Instant::now();
            self.read_ahead.collects(now);
            let frames = self.collect()?;
            if !frames.is_empty() {
                self.read_ahead.runs(now);
            }
            let look_again = self.ask_ahead();
            let mut events = self.run(frames)?;
            self.streams.retain_mut(|stream| {
                let Some(error) = stream.ended.take() else {
                    return true;
                };
                let id = stream.id;
                events.push(StreamEvent::Ended { id, error });
                false
            });
            if !events.is_empty() || self.streams.is_empty() {
                return Ok(events);
            }
            let until = deadline.into_iter().chain(look_again).min();
            let began = Instant::now();
            let woken = self.wake.wait(ticket, until);
            if look_again.is_some() {
                self.read_ahead.waited(began.elapsed());
            }
            match woken {
                Woken::Changed => {}
                Woken::TimedOut if until != deadline => {}
                Woken::TimedOut | Woken::Interrupted => return Ok(events),
            }
        }
    }

    /// Most frames of one run.
    fn batch(&self) -> usize {
        let model = self.pipeline.model();
        self.pipeline.options().batch.max(1) * model.batches_in_flight().max(1)
    }

    /// Has the frames of the next run read meanwhile, by whose turn it is then, of the streams that read on
    /// demand. Until when they may take before more are asked for: a decoder that is slow must not hold up
    /// the others.
    fn ask_ahead(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let mut to_come = 0;
        let mut look_again = None;
        for stream in &self.streams {
            let Some(late) = stream.needed.map(|needed| needed + PATIENCE) else {
                continue;
            };
            if stream.video.is_ready() {
                to_come += 1;
            } else if now < late {
                to_come += 1;
                look_again = look_again.into_iter().chain([late]).min();
            }
        }
        let most = self.read_ahead.frames(self.batch(), self.streams.len());
        let needed = self.read_ahead.needed(now);
        let mut order: Vec<usize> = (0..self.streams.len()).collect();
        order.sort_by(|a, b| {
            let (a, b) = (&self.streams[*a].turn, &self.streams[*b].turn);
            self.turns.order(a, b)
        });
        for index in order {
            if to_come >= most {
                break;
            }
            let stream = &mut self.streams[index];
            if stream.video.ask(needed) {
                stream.needed = Some(needed);
                to_come += 1;
                look_again = look_again.or(Some(needed + PATIENCE));
            }
        }
        look_again
    }

    /// Frames for one run, by whose turn it is.
    fn collect(&mut self) -> Result<Vec<(usize, VideoFrame)>, Error> {
        let most = self.batch();
        let mut frames = Vec::new();
        let mut may_have: Vec<usize> = (0..self.streams.len()).collect();
        while frames.len() < most {
            let starts = may_have.iter().copied();
            let next = starts.min_by(|a, b| {
                self.turns
                    .order(&self.streams[*a].turn, &self.streams[*b].turn)
            });
            let Some(index) = next else { break };
            let stream = &mut self.streams[index];
            let Some(frame) = stream.take() else {
                may_have.retain(|it| *it != index);
                continue;
            };
            let place = self.pipeline.place(&frame.view()?);
            let work = (place.width * place.height) as f64;
            self.turns.take(
                &mut stream.turn,
                work / f64::from(stream.settings.weight.get()),
            );
            frames.push((index, frame));
        }
        Ok(frames)
    }

    fn run(&mut self, frames: Vec<(usize, VideoFrame)>) -> Result<Vec<StreamEvent>, Error> {
        if frames.is_empty() {
            return Ok(Vec::new());
        }
        let views = frames.iter().map(|(_, frame)| frame.view());
        let views: Vec<FrameView<'_>> = views.collect::<Result<_, _>>()?;
        let began = Instant::now();
        let results = self.pipeline.predict(&views)?;
        self.read_ahead.ran(began.elapsed(), self.streams.len());
        let finish = |((index, frame), result): ((usize, VideoFrame), ImageResult)| {
            let result = self.streams[index].finish(frame, result)?;
            Ok(StreamEvent::Frame(Box::new(result)))
        };
        frames.into_iter().zip(results).map(finish).collect()
    }
}

impl Stream {
    /// The next frame that is to be run, if one waits.
    fn take(&mut self) -> Option<VideoFrame> {
        loop {
            match self.video.ready() {
                Next::Frame(frame) => {
                    self.needed = None;
                    if self.is_wanted(&frame) {
                        return Some(frame);
                    }
                    self.video.recycle(frame.pixels);
                }
                Next::NotYet => return None,
                Next::Ended => {
                    self.ended.get_or_insert(None);
                    return None;
                }
                // Told once, so kept until the stream goes.
                Next::Failed(error) => {
                    self.ended = Some(Some(error));
                    return None;
                }
            }
        }
    }

    fn is_wanted(&mut self, frame: &VideoFrame) -> bool {
        let limit = self.settings.max_age;
        if limit.is_some_and(|limit| frame.arrived.elapsed() > limit) {
            self.counts.too_old += 1;
            return false;
        }
        let is_due = frame.time.is_none_or(|time| self.rate.is_due(time));
        self.counts.over_rate += u64::from(!is_due);
        is_due
    }

    /// Tracks what was found, and counts the frame.
    fn finish(
        &mut self,
        frame: VideoFrame,
        mut result: ImageResult,
    ) -> Result<StreamResult, Error> {
        let time = frame.time.unwrap_or(self.last_time);
        self.last_time = time;
        if let (Some(tracker), Prediction::Instances(found)) =
            (&mut self.tracker, &result.prediction)
        {
            let tracked = tracker.update(&frame.view()?, time, found, &result.suppressed);
            result.prediction = Prediction::Instances(tracked);
        }
        let age = frame.arrived.elapsed();
        self.counts.frames += 1;
        self.counts.age = Some(age);
        Ok(StreamResult {
            id: self.id,
            frame,
            result,
            age,
        })
    }
}
