//! What is told of a stream.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::streams::entry::{Drops, Origin, State, StreamEntry};
use crate::streams::settings::{HeatmapConfig, LineConfig, PlaneConfig, ZoneConfig};

/// All streams.
#[derive(Serialize, ToSchema)]
pub struct StreamList {
    /// The streams by name.
    streams: Vec<StreamCard>,
    /// Most streams at one time.
    capacity: usize,
}

impl StreamList {
    pub fn of(app: &App) -> Self {
        let entries = app.streams.all();
        Self {
            streams: entries.iter().map(|entry| StreamCard::of(entry)).collect(),
            capacity: app.streams.capacity(),
        }
    }
}

/// A stream: its settings and what has become of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Stream)]
pub struct StreamCard {
    /// Its name.
    #[schema(example = "gate")]
    name: String,
    /// Its address without user name, password and tokens.
    #[schema(example = "rtsp://***@192.168.1.20/stream1")]
    url: String,
    /// Who has added it.
    origin: Origin,
    /// The model that runs it, if one was named.
    model: Option<String>,
    /// Most frames per second that are run.
    max_fps: Option<f64>,
    /// Most pixels of the longer side of its frames, where they are made smaller while they are decoded.
    decode_size: Option<u32>,
    /// Its share of the model's time beside other streams.
    weight: u32,
    /// What follows its objects.
    #[schema(example = "default")]
    tracker: String,
    /// Smallest confidence of an object.
    confidence: f32,
    /// Its lines, as they are set.
    lines: Vec<LineConfig>,
    /// Its zones, as they are set.
    zones: Vec<ZoneConfig>,
    /// The ground, as it is set.
    plane: Option<PlaneConfig>,
    /// Whether it keeps where objects spend their time.
    heatmap: Option<HeatmapConfig>,
    /// What it is doing.
    state: State,
    /// Why it failed last, if it did.
    error: Option<String>,
    /// Width of its frames in pixels.
    width: Option<usize>,
    /// Height of its frames in pixels.
    height: Option<usize>,
    /// Frames per second that come.
    fps_in: f64,
    /// Frames per second that are run.
    fps_out: f64,
    /// Frames that came.
    frames_in: u64,
    /// Frames that were run.
    frames_run: u64,
    /// Milliseconds since the newest frame with a result came.
    age_ms: Option<f64>,
    /// Milliseconds from its coming to its result.
    delay_ms: Option<f64>,
    /// Frames that were left out, by cause.
    drops: Drops,
    /// How often it was opened.
    attempts: u64,
    /// How often it failed.
    failures: u64,
    /// Objects on the newest frame.
    objects: usize,
    /// What was counted so far.
    counts: StreamCounts,
}

/// What was counted at a stream's lines and zones.
#[derive(Serialize, ToSchema)]
pub struct StreamCounts {
    /// Crossings of each line: `name`, `in`, `out`, `in_by_class`, `out_by_class` and `tracks`.
    #[schema(value_type = Vec<Object>)]
    lines: Vec<Value>,
    /// Each zone: `name`, `inside`, `entered` (from outside), `born_inside` (first seen inside), `left`,
    /// `most_at_once`, `dwell_mean` and others.
    #[schema(value_type = Vec<Object>)]
    zones: Vec<Value>,
}

impl StreamCard {
    pub fn of(entry: &StreamEntry) -> Self {
        let config = entry.config();
        let figures = entry.figures().clone();
        Self {
            name: config.name.clone(),
            url: config.address().name(),
            origin: entry.origin,
            model: config.model.clone(),
            max_fps: config.fps,
            decode_size: config.decode_size,
            weight: config.weight.map_or(1, |weight| weight.get()),
            tracker: config.tracker.clone().unwrap_or("default".to_owned()),
            confidence: config.least_confidence(),
            lines: config.lines.clone(),
            zones: config.zones.clone(),
            plane: config.plane.clone(),
            heatmap: config.heatmap.clone(),
            state: figures.state,
            width: figures.size.map(|[width, _]| width),
            height: figures.size.map(|[_, height]| height),
            fps_in: figures.fps_in,
            fps_out: figures.fps_out,
            frames_in: figures.frames_in,
            frames_run: figures.frames_run,
            age_ms: figures.age_ms(),
            delay_ms: figures.delay_ms,
            drops: figures.drops,
            attempts: figures.attempts,
            failures: figures.failures,
            objects: figures.objects,
            error: figures.error,
            counts: StreamCounts {
                lines: figures.lines,
                zones: figures.zones,
            },
        }
    }
}
