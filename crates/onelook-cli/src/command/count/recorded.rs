//! `onelook count` over recorded tracks: a file in, crossings of lines and stays in zones out.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use onelook::mot::{MotOptions, MotTracks, SequenceInfo};
use onelook::printable::printable_path;
use onelook::vision::analytics::{Analytics, AnalyticsOptions, Coordinates};
use onelook::{event_record, totals_record, tracking};
use serde_json::json;

use crate::console::Console;
use crate::failure::{Failure, refused};
use crate::flags::CountArgs;
use crate::output::{LineFile, print_totals};

/// Most bytes of a file of tracks.
const MAX_BYTES: u64 = 1 << 30;

/// Frames per second where nothing says so.
const FRAME_RATE: f64 = 30.0;

/// Counts over the tracks of this file.
pub fn run(args: &CountArgs, path: &Path, console: &Console) -> Result<(), Failure> {
    let text = read_text(path)?;
    let options = MotOptions {
        min_confidence: args.inference.fit.conf,
        classes: args.class_column,
    };
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::failed("tracks", format!("'{}': {error}", printable_path(path)))
    };
    let tracks = MotTracks::parse(&text, &options).map_err(|error| unreadable(path, &error))?;
    if tracks.untracked > 0 {
        console.warn(format!(
            "{} boxes have a negative id and are left out: they belong to no track",
            tracks.untracked
        ));
    }
    if let (Some(least), 1..) = (options.min_confidence, tracks.below_confidence) {
        console.warn(format!(
            "{} boxes have a confidence below --conf {least} and are left out",
            tracks.below_confidence
        ));
    }
    let info = tracking::sequence_info(path)?;
    let options = AnalyticsOptions {
        image: info.image,
        ..args.analytics_options()?
    };
    if options.coordinates == Coordinates::Fractions && options.image.is_none() {
        return Err(Failure::Usage(
            "--coordinates fractions: the size of the images is needed, as imWidth and imHeight in \
             seqinfo.ini beside the tracks"
                .to_owned(),
        ));
    }
    let mut analytics =
        Analytics::new(&options).map_err(|error| Failure::Usage(error.to_string()))?;
    let frame_rate = frame_rate(args, &info, console)?;
    let mut events = args.events.clone().map(LineFile::create).transpose()?;
    if events.is_some() {
        console.saves_results();
    }
    let frames = tracks.last_frame().max(info.frames.unwrap_or(0));
    for frame in 1..=frames {
        let time = (frame - 1) as f64 / frame_rate;
        let happened = analytics.update(time, tracks.frame(frame));
        if let Some(file) = &mut events {
            for event in happened {
                let mut record = event_record(&event);
                record["frame"] = json!(frame);
                file.append(&format!("{record}\n"))?;
            }
        }
    }
    if let Some(file) = &mut events {
        file.finish()?;
    }
    print_totals(&analytics, "", console)?;
    let seconds = frames as f64 / frame_rate;
    console.detail(format!(
        "{frames} frames at {frame_rate} fps, {seconds:.1} s, {} tracks",
        tracks.tracks()
    ))?;
    let mut value = totals_record([&analytics]);
    value["frames"] = json!(frames);
    value["frame_rate"] = json!(frame_rate);
    value["tracks"] = json!(tracks.tracks());
    console.value(&value)
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let file = File::open(path).map_err(refused(path))?;
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
    let said =
        |reason: &str| Failure::failed("tracks", format!("'{}': {reason}", printable_path(path)));
    match read {
        Ok(bytes) if bytes as u64 > MAX_BYTES => Err(said("it has more than 1 GiB")),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(said("it is not text: expected lines of numbers and commas"))
        }
        Err(error) => Err(refused(path)(error)),
    }
}

fn frame_rate(args: &CountArgs, info: &SequenceInfo, console: &Console) -> Result<f64, Failure> {
    match args.frame_rate.or(info.frame_rate) {
        Some(rate) if (1e-3..=1000.0).contains(&rate) => Ok(rate),
        Some(rate) => Err(Failure::Usage(format!(
            "--frame-rate {rate}: expected frames per second from 0.001 to 1000"
        ))),
        None => {
            console.note(format!(
                "no --frame-rate and no seqinfo.ini beside the tracks: {FRAME_RATE} fps assumed"
            ));
            Ok(FRAME_RATE)
        }
    }
}
