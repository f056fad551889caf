//! `onelook track` over recorded detections: a file in, tracks out, frame by frame.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use onelook::mot::{MotDetections, write_track};
use onelook::tracking;
use onelook::vision::track::FrameInfo;
use serde_json::json;

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::TrackArgs;
use crate::output::write_whole;

/// Tracks the detections of this file.
pub fn run(args: &TrackArgs, path: &Path, console: &Console) -> Result<(), Failure> {
    let settings = args.tracker.settings()?;
    let detections = tracking::detections(path)?;
    let sequence = sequence(args, path, &detections)?;
    if settings.camera_motion {
        console.note("recorded detections have no pixels: the camera's motion is not taken out");
    }
    let mut tracker = settings.options.build();
    let mut tracks = Tracks::default();
    let begun = Instant::now();
    for frame in 1..=sequence.frames {
        let info = FrameInfo {
            time: sequence.time(frame),
            ..FrameInfo::default()
        };
        let seen = tracker.update(detections.frame(frame), &info);
        for object in &seen {
            write_track(&mut tracks.lines, frame, &object);
            tracks.ids.extend(object.track_id);
            tracks.rows += 1;
        }
    }
    let spent = begun.elapsed();
    report(args, &tracks, sequence.frames, spent, console)
}

/// When the frames were taken.
struct Sequence {
    frames: u64,
    frame_rate: f64,
    times: Option<Vec<Duration>>,
}

impl Sequence {
    /// Time of a frame, from 1.
    fn time(&self, frame: u64) -> Duration {
        let index = frame - 1;
        match &self.times {
            Some(times) => usize::try_from(index)
                .ok()
                .and_then(|index| times.get(index))
                .copied()
                .unwrap_or_default(),
            None => Duration::from_secs_f64(index as f64 / self.frame_rate),
        }
    }
}

fn sequence(
    args: &TrackArgs,
    path: &Path,
    detections: &MotDetections,
) -> Result<Sequence, Failure> {
    let times = args.times.as_deref().map(tracking::times).transpose()?;
    let info = tracking::sequence_info(path)?;
    let counted = times
        .as_ref()
        .map(|times| times.len() as u64)
        .or(info.frames);
    let last = detections.last_frame();
    let frames = args.frames.or(counted).unwrap_or(last);
    if frames < last {
        return Err(Failure::failed(
            "tracking",
            format!(
                "there are boxes up to frame {last}, but only {frames} frames: correct --frames, --times or seqinfo.ini"
            ),
        ));
    }
    if frames > MAX_FRAMES
        || times
            .as_ref()
            .is_some_and(|times| frames > times.len() as u64)
    {
        let reason = format!("--frames {frames}: more than there are times, or than {MAX_FRAMES}");
        return Err(Failure::Usage(reason));
    }
    Ok(Sequence {
        frames,
        frame_rate: args.frame_rate.or(info.frame_rate).unwrap_or(30.0),
        times,
    })
}

/// More frames than a camera takes in a year.
const MAX_FRAMES: u64 = 1 << 30;

#[derive(Default)]
struct Tracks {
    lines: String,
    ids: BTreeSet<u64>,
    rows: u64,
}

fn report(
    args: &TrackArgs,
    tracks: &Tracks,
    frames: u64,
    spent: Duration,
    console: &Console,
) -> Result<(), Failure> {
    match &args.mot {
        Some(path) => write_whole(path, tracks.lines.as_bytes())?,
        None if console.is_json() => {}
        None => return console.print(&tracks.lines),
    }
    let micros = spent.as_secs_f64() * 1e6 / frames.max(1) as f64;
    console.line(format!(
        "{} tracks, {} boxes on {frames} frames, {micros:.1} us per frame",
        tracks.ids.len(),
        tracks.rows
    ))?;
    console.value(&json!({
        "tracks": tracks.ids.len(),
        "boxes": tracks.rows,
        "frames": frames,
        "microseconds_per_frame": micros,
    }))
}
