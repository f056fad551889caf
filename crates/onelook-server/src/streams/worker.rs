//! The thread that runs the streams of one model: it follows what is wanted, the model's state, and the
//! settings of each stream, and writes down what becomes of them.

mod counting;

use std::sync::Arc;
use std::time::{Duration, Instant};

use onelook::media::video::{VideoError, VideoStream};
use onelook::streams::{StreamEvent, StreamId, StreamResult, Streams};
use onelook::tracking::FrameTracker;
use onelook::types::{Instances, Prediction};
use onelook::vision::analytics::{Analytics, Heatmap};
use onelook::{Options, Pipeline};

use super::entry::{Drops, State, StreamEntry, StreamHeatmap};
use super::live_frame::LiveFrame;
use super::settings::{LEAST_CONFIDENCE, Place, StreamConfig};
use crate::delivery::StreamResults;
use crate::model_repository::LoadedModel;

/// Longest time until what is wanted is looked at again.
const POLL: Duration = Duration::from_millis(200);

/// Time over which frames per second are counted.
const RATE_INTERVAL: Duration = Duration::from_secs(2);

/// A result of a live stream that would be older is not made.
const MAX_AGE: Duration = Duration::from_secs(2);

/// Most frames in one run.
const MAX_BATCH: usize = 8;

/// Opens a stream; nothing is read before its first frame is asked for.
pub type Open = dyn Fn(&StreamConfig) -> Result<VideoStream, VideoError> + Send + Sync;

/// What the thread is to do.
pub trait Orders {
    /// The streams that are to run; `None` when the thread is to end.
    fn wanted(&self) -> Option<Vec<Arc<StreamEntry>>>;
    /// The model that runs them, or why there is none.
    fn model(&self) -> Result<Arc<LoadedModel>, String>;
    /// Opens a stream.
    fn open(&self, config: &StreamConfig) -> Result<VideoStream, VideoError>;
    /// Frames were run, in so much time.
    fn ran(&self, frames: usize, time: Duration);
}

/// Runs streams until nobody wants any.
pub fn run(orders: &impl Orders) {
    let mut worker = Worker::default();
    while let Some(wanted) = orders.wanted() {
        match orders.model() {
            Ok(model) => {
                if let Err(reason) = worker.follow(&model) {
                    worker.stop(&wanted, State::Failed, &reason);
                }
            }
            Err(reason) => worker.stop(&wanted, State::Waiting, &reason),
        }
        let Some(streams) = &mut worker.streams else {
            std::thread::sleep(POLL);
            continue;
        };
        keep_wanted(streams, &mut worker.running, &wanted, orders);
        if streams.is_empty() {
            std::thread::sleep(POLL);
            continue;
        }
        let began = Instant::now();
        match streams.next(Some(began + POLL)) {
            Ok(events) => worker.take(events, orders),
            Err(error) => {
                tracing::error!(%error, "streams could not be run");
                for running in worker.running.iter_mut().filter(|it| it.id.is_some()) {
                    running.failure = Some(error.to_string());
                }
                std::thread::sleep(POLL);
            }
        }
        worker.write_figures();
    }
}

#[derive(Default)]
struct Worker {
    /// Absent while there is no model.
    streams: Option<Streams>,
    version: u64,
    names: Arc<[String]>,
    running: Vec<Running>,
}

/// A stream that was opened, or could not be.
struct Running {
    entry: Arc<StreamEntry>,
    config: Arc<StreamConfig>,
    /// Absent once it has ended.
    id: Option<StreamId>,
    tracker: Option<FrameTracker>,
    places: Vec<(Place, Analytics)>,
    speeds: Option<Analytics>,
    /// Width and height that the places hold for: those of the first frame.
    reference: Option<[usize; 2]>,
    last_time: f64,
    rate: (Instant, u64, u64),
    /// Why the last frame gave no boxes, if it did not.
    failure: Option<String>,
}

impl Worker {
    /// Runs the streams with this model from now on.
    fn follow(&mut self, loaded: &LoadedModel) -> Result<(), String> {
        if self.streams.is_some() && self.version == loaded.version {
            return Ok(());
        }
        let mut options = Options {
            batch: loaded.max_batch.min(MAX_BATCH),
            ..Options::default()
        };
        options.thresholds.confidence = LEAST_CONFIDENCE;
        let pipeline = Pipeline::new(Arc::clone(&loaded.model), options)
            .map_err(|error| format!("the model cannot run streams: {error}"))?;
        self.version = loaded.version;
        self.names = loaded.model.metadata().names.clone().into();
        match &mut self.streams {
            Some(streams) => streams.set_pipeline(pipeline),
            None => self.streams = Some(Streams::new(pipeline)),
        }
        Ok(())
    }

    /// Closes all streams: there is no model that runs them.
    fn stop(&mut self, wanted: &[Arc<StreamEntry>], state: State, reason: &str) {
        self.streams = None;
        for running in &mut self.running {
            running.id = None;
        }
        for entry in wanted {
            let mut figures = entry.figures();
            figures.state = state;
            figures.error = Some(reason.to_owned());
            (figures.fps_in, figures.fps_out) = (0.0, 0.0);
            drop(figures);
            entry.show(None);
        }
        // Opened again with the next model.
        self.running.clear();
    }

    fn take(&mut self, events: Vec<StreamEvent>, orders: &impl Orders) {
        let mut ran = (0, Duration::ZERO);
        for event in events {
            match event {
                StreamEvent::Frame(result) => {
                    let speed = &result.result.speed;
                    ran = (ran.0 + 1, ran.1 + speed.inference);
                    let mut running = self.running.iter_mut();
                    if let Some(running) = running.find(|it| it.id == Some(result.id)) {
                        running.take(*result, &self.names);
                    }
                }
                StreamEvent::Ended { id, error } => {
                    let mut running = self.running.iter_mut();
                    if let Some(running) = running.find(|it| it.id == Some(id)) {
                        running.end(error);
                    }
                }
            }
        }
        if ran.0 > 0 {
            orders.ran(ran.0, ran.1);
        }
    }

    /// Writes down what has become of each stream.
    fn write_figures(&mut self) {
        let Some(streams) = &self.streams else { return };
        for running in &mut self.running {
            let Some(report) = running.id.and_then(|id| streams.report(id)) else {
                continue;
            };
            let decoding = &report.decoding;
            let (since, frames_in, frames_run) = running.rate;
            let elapsed = since.elapsed();
            let mut figures = running.entry.figures();
            if elapsed >= RATE_INTERVAL {
                let per_second =
                    |count: u64| (count as f64 / elapsed.as_secs_f64() * 10.0).round() / 10.0;
                figures.fps_in = per_second(decoding.frames - frames_in);
                figures.fps_out = per_second(report.frames - frames_run);
                running.rate = (Instant::now(), decoding.frames, report.frames);
            }
            figures.state = decoding.state.into();
            figures.error = decoding.last_error.as_ref().map(ToString::to_string);
            if let (State::Running, Some(failure)) = (figures.state, &running.failure) {
                figures.state = State::Failed;
                figures.error = Some(failure.clone());
            }
            figures.frames_in = decoding.frames;
            figures.frames_run = report.frames;
            figures.attempts = decoding.attempts;
            figures.failures = decoding.failures;
            figures.drops = Drops {
                replaced: decoding.dropped,
                over_rate: report.over_rate,
                too_old: report.too_old,
            };
        }
    }
}

/// Closes what nobody wants any more, opens what is new, and applies settings that have changed.
fn keep_wanted(
    streams: &mut Streams,
    running: &mut Vec<Running>,
    wanted: &[Arc<StreamEntry>],
    orders: &impl Orders,
) {
    running.retain(|running| {
        let is_wanted = wanted
            .iter()
            .any(|entry| Arc::ptr_eq(entry, &running.entry));
        if let (false, Some(id)) = (is_wanted, running.id) {
            streams.remove(id);
        }
        is_wanted
    });
    for entry in wanted {
        let config = entry.config();
        let found = running.iter_mut().find(|it| Arc::ptr_eq(&it.entry, entry));
        match found {
            None => running.push(Running::open(entry, config, streams, orders)),
            Some(running) if !Arc::ptr_eq(&running.config, &config) => {
                if let Some(id) = running.id {
                    streams.set_settings(id, config.settings(max_age(&config)));
                }
                running.configure(config);
            }
            Some(_) => {}
        }
    }
    let mut trackers = running.iter().filter_map(|it| it.tracker.as_ref());
    streams.keep_suppressed(trackers.any(FrameTracker::wants_suppressed));
    for running in running.iter().filter(|it| !it.entry.is_watched()) {
        running.entry.show(None);
    }
}

/// Of a file every frame counts, however late.
fn max_age(config: &StreamConfig) -> Option<Duration> {
    config.is_live().then_some(MAX_AGE)
}

impl Running {
    fn open(
        entry: &Arc<StreamEntry>,
        config: Arc<StreamConfig>,
        streams: &mut Streams,
        orders: &impl Orders,
    ) -> Self {
        let opened = orders.open(&config);
        let mut figures = entry.figures();
        figures.state = match opened {
            Ok(_) => State::Connecting,
            Err(_) => State::Refused,
        };
        figures.error = opened.as_ref().err().map(ToString::to_string);
        drop(figures);
        let id = opened
            .ok()
            .map(|video| streams.add(video, config.settings(max_age(&config))));
        let mut running = Self {
            entry: Arc::clone(entry),
            config: Arc::clone(&config),
            id,
            tracker: None,
            places: Vec::new(),
            speeds: None,
            reference: None,
            last_time: 0.0,
            rate: (Instant::now(), 0, 0),
            failure: None,
        };
        running.set_tracker(&config);
        running
    }

    /// Applies other settings. What has not changed goes on.
    fn configure(&mut self, config: Arc<StreamConfig>) {
        if config.tracker != self.config.tracker {
            self.set_tracker(&config);
        }
        let is_same_plane = self.config.plane == config.plane;
        let is_same_heatmap = self.config.heatmap == config.heatmap;
        self.config = config;
        self.set_places();
        self.write_totals();
        if !is_same_plane {
            self.set_speeds();
        }
        if !is_same_heatmap {
            self.set_heatmap();
        }
    }

    fn set_speeds(&mut self) {
        // Checked when it was set.
        let meter = |size| self.config.speed_meter(size).ok().flatten();
        self.speeds = self.reference.and_then(meter);
    }

    fn set_heatmap(&mut self) {
        let map = |size| {
            let options = self.config.heatmap.as_ref()?.options(size);
            let map = Heatmap::new(size, options).ok()?;
            Some(StreamHeatmap { size, map })
        };
        *self.entry.heatmap() = self.reference.and_then(map);
    }

    fn set_tracker(&mut self, config: &StreamConfig) {
        // Checked when it was set.
        let settings = config.tracker_settings().ok().flatten();
        self.tracker = settings.as_ref().map(FrameTracker::new);
    }

    /// Counters for the lines and zones of the settings; those that were there go on counting.
    fn set_places(&mut self) {
        let Some(reference) = self.reference else {
            return;
        };
        let mut places = self.config.analytics(reference).unwrap_or_default();
        for (place, counter) in &mut places {
            let old = self.places.iter_mut().find(|(old, _)| old == place);
            if let Some((_, old)) = old {
                std::mem::swap(counter, old);
            }
        }
        self.places = places;
    }

    /// A frame was run.
    fn take(&mut self, result: StreamResult, names: &Arc<[String]>) {
        let frame = result.frame;
        let size = [frame.width, frame.height];
        if self.reference.is_none() {
            self.reference = Some(size);
            self.set_places();
            self.set_speeds();
            self.set_heatmap();
        }
        let time = frame.time.map_or(self.last_time, |time| time.as_secs_f64());
        self.last_time = time;
        let Prediction::Instances(found) = result.result.prediction else {
            let reason =
                "the model classifies whole images and finds no boxes: choose one that detects";
            self.failure = Some(reason.to_owned());
            return;
        };
        self.failure = None;
        let found = above(&found, self.config.least_confidence());
        let dropped = above(&result.result.suppressed, self.config.least_confidence());
        let view = frame.view();
        let found = match (&mut self.tracker, view) {
            (Some(tracker), Ok(view)) => {
                let time = Duration::from_secs_f64(time.max(0.0));
                tracker.update(&view, time, &found, &dropped)
            }
            _ => found,
        };
        let in_reference = self.in_reference(size, &found);
        let events = self.count(time, &in_reference);
        let speeds = self.measure(time, &in_reference);
        let delay_ms = (result.age.as_secs_f64() * 1e4).round() / 10.0;
        let mut figures = self.entry.figures();
        figures.size = Some(size);
        figures.frames_run += 1;
        figures.newest = Some(frame.arrived);
        figures.delay_ms = Some(delay_ms);
        figures.objects = found.len();
        drop(figures);
        self.write_totals();
        self.write_history();
        self.entry.sinks().set_results(&StreamResults {
            stream: &self.config.name,
            frame: frame.number,
            time,
            size,
            found: &found,
            names,
        });
        let is_watched = self.entry.is_watched();
        if !is_watched && events.is_empty() {
            return;
        }
        let number = frame.number;
        let live = frame.into_frame().ok().map(|frame| {
            let live = LiveFrame::new((number, time, delay_ms), frame, found, Arc::clone(names));
            Arc::new(live.with_speeds(speeds))
        });
        for event in events {
            self.record(&event, size, live.as_ref(), names);
        }
        if let (true, Some(live)) = (is_watched, live) {
            self.entry.show(Some(live));
        }
    }

    /// It has ended and is not opened again.
    fn end(&mut self, error: Option<VideoError>) {
        self.id = None;
        let mut figures = self.entry.figures();
        figures.state = match &error {
            Some(_) if self.reference.is_none() => State::Refused,
            _ => State::Ended,
        };
        figures.error = error.map(|error| error.to_string());
        (figures.fps_in, figures.fps_out) = (0.0, 0.0);
        drop(figures);
        self.entry.show(None);
    }
}

/// Objects of at least this confidence.
fn above(found: &Instances, least: f32) -> Instances {
    let scores = found.scores().iter().enumerate();
    let kept: Vec<usize> = scores
        .filter(|(_, score)| **score >= least)
        .map(|(index, _)| index)
        .collect();
    found.select(&kept)
}
