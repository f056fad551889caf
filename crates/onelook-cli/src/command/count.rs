//! `onelook count`: recorded tracks in, crossings of lines and stays in zones out.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use onelook::mot::{MotOptions, MotTracks, SequenceInfo};
use onelook::printable::{printable, printable_path};
use onelook::vision::analytics::{
    Analytics, AnalyticsOptions, Anchor, BandOptions, Coordinates, Line, LineRule, Point, Zone,
    ZoneOptions,
};
use onelook::{event_record, totals_record, tracking};
use serde_json::json;

use crate::console::Console;
use crate::failure::{Failure, refused};
use crate::flags::{CountArgs, Mode, Unit};
use crate::output::LineFile;

/// Most bytes of a file of tracks.
const MAX_BYTES: u64 = 1 << 30;

/// Frames per second where nothing says so.
const FRAME_RATE: f64 = 30.0;

pub fn run(args: &CountArgs, console: &Console) -> Result<(), Failure> {
    let text = read_text(&args.tracks)?;
    let options = MotOptions {
        min_confidence: args.conf,
        classes: args.class_column,
    };
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::failed("tracks", format!("'{}': {error}", printable_path(path)))
    };
    let tracks =
        MotTracks::parse(&text, &options).map_err(|error| unreadable(&args.tracks, &error))?;
    if tracks.untracked > 0 {
        console.warn(format!(
            "{} boxes have a negative id and are left out: they belong to no track",
            tracks.untracked
        ));
    }
    let info = tracking::sequence_info(&args.tracks)?;
    let mut analytics = Analytics::new(&analytics_options(args, &info)?)
        .map_err(|error| Failure::Usage(error.to_string()))?;
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
    words(&analytics, console)?;
    let seconds = frames as f64 / frame_rate;
    console.detail(format!(
        "{frames} frames at {frame_rate} fps, {seconds:.1} s, {} tracks",
        tracks.tracks()
    ))?;
    let mut value = totals_record(&analytics);
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
        Some(rate) if rate > 0.0 && rate <= 1000.0 => Ok(rate),
        Some(rate) => Err(Failure::Usage(format!(
            "--frame-rate {rate}: expected frames per second above 0, up to 1000"
        ))),
        None => {
            console.note(format!(
                "no --frame-rate and no seqinfo.ini beside the tracks: {FRAME_RATE} fps assumed"
            ));
            Ok(FRAME_RATE)
        }
    }
}

fn analytics_options(args: &CountArgs, info: &SequenceInfo) -> Result<AnalyticsOptions, Failure> {
    if args.line.is_empty() && args.zone.is_empty() {
        return Err(Failure::Usage(
            "nothing to count: give a --line NAME=X1,Y1,X2,Y2 or a --zone NAME=X,Y,X,Y,X,Y"
                .to_owned(),
        ));
    }
    let anchor = Anchor::NAMED.iter().find(|(name, _)| *name == args.anchor);
    let &(_, anchor) = anchor.ok_or_else(|| {
        let names = Anchor::NAMED.map(|(name, _)| name).join(", ");
        Failure::Usage(format!(
            "--anchor '{}': expected one of {names}",
            printable(&args.anchor)
        ))
    })?;
    let rule = match args.mode {
        Mode::Default => LineRule::Band(BandOptions {
            anchor,
            once: args.once,
            ..BandOptions::default()
        }),
        Mode::Supervision => LineRule::supervision(),
        Mode::Ultralytics => LineRule::Ultralytics,
    };
    let point = |&[x, y]: &[f64; 2]| Point::new(x, y);
    let lines = args.line.iter().map(|(name, points)| Line {
        name: name.clone(),
        start: point(&points[0]),
        end: point(&points[1]),
        rule: rule.clone(),
    });
    let zones = args.zone.iter().map(|(name, points)| Zone {
        name: name.clone(),
        corners: points.iter().map(point).collect(),
        options: ZoneOptions {
            anchor,
            ..ZoneOptions::default()
        },
    });
    if args.coordinates == Unit::Fractions && info.image.is_none() {
        return Err(Failure::Usage(
            "--coordinates fractions: the size of the images is needed, as imWidth and imHeight in \
             seqinfo.ini beside the tracks"
                .to_owned(),
        ));
    }
    Ok(AnalyticsOptions {
        coordinates: match args.coordinates {
            Unit::Pixels => Coordinates::Pixels,
            Unit::Fractions => Coordinates::Fractions,
        },
        image: info.image,
        lines: lines.collect(),
        zones: zones.collect(),
        ..AnalyticsOptions::default()
    })
}

fn words(analytics: &Analytics, console: &Console) -> Result<(), Failure> {
    for (name, totals) in analytics.lines() {
        let [ins, outs] = totals.sums();
        let tracks = totals.tracks;
        console.line(format!(
            "line {name}: {ins} in, {outs} out, by {tracks} tracks"
        ))?;
    }
    for (index, (name, totals)) in analytics.zones().enumerate() {
        let mean = totals.dwell_mean().unwrap_or_default();
        console.line(format!(
            "zone {name}: {} entered, {} born inside, {} left, {} lost inside, {} still inside, at most \
             {} at once, dwell {mean:.2} s on average, {:.2} s at most",
            totals.entered,
            totals.born_inside,
            totals.left,
            totals.lost_inside,
            analytics.occupants(index).count(),
            totals.most_at_once,
            totals.dwell_longest,
        ))?;
    }
    Ok(())
}
