//! What a tracker needs from files: its settings in the reference's YAML, recorded detections, and what
//! is known of a recorded sequence.

mod frame_tracker;
mod settings;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use onelook_vision::track::TrackerOptions;

use crate::Error;
use crate::mot::{MotDetections, SequenceInfo};

pub use frame_tracker::{FrameTracker, FrameTrackerState};
pub use settings::TrackerSettings;

/// More bytes than recorded detections of a day have.
const MAX_BYTES: u64 = 1 << 30;
/// As many frames as recorded detections may have.
const MAX_TIMES: usize = 1 << 24;
/// More bytes than settings or the description of a sequence have.
const MAX_SETTINGS_BYTES: u64 = 1 << 20;

/// The tracker of a name, such as `bytetrack` or `bytetrack.yaml`, or of a YAML file in the reference's
/// form.
///
/// # Errors
/// There is no such name or file, or the file asks for something that cannot be had.
pub fn tracker(name: &str) -> Result<TrackerSettings, Error> {
    let path = Path::new(name);
    let stem = name
        .strip_suffix(".yaml")
        .or_else(|| name.strip_suffix(".yml"));
    if !path.exists()
        && let Some(options) = TrackerOptions::named(stem.unwrap_or(name))
    {
        let camera_motion = matches!(
            options,
            TrackerOptions::BotSort(_) | TrackerOptions::TrackTrack(_)
        );
        return Ok(TrackerSettings {
            options,
            camera_motion,
        });
    }
    if stem.is_none() && !path.exists() {
        let names = TrackerOptions::NAMES.join(", ");
        return Err(Error::Setting {
            name: "tracker",
            reason: format!("there is no '{name}': expected {names} or a .yaml file"),
        });
    }
    let text = read_text(path, MAX_SETTINGS_BYTES)?;
    TrackerSettings::parse(&text).map_err(|reason| Error::tracking(path, reason))
}

/// Detections in the format of the MOTChallenge.
///
/// # Errors
/// The file cannot be read, or a line is no box.
pub fn detections(path: &Path) -> Result<MotDetections, Error> {
    let text = read_text(path, MAX_BYTES)?;
    MotDetections::parse(&text).map_err(|error| Error::tracking(path, error.to_string()))
}

/// Times of frames in seconds, a line per frame.
///
/// # Errors
/// The file cannot be read, or a line is no time or lies before the one above it.
pub fn times(path: &Path) -> Result<Vec<Duration>, Error> {
    let text = read_text(path, MAX_BYTES)?;
    let mut times = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let time = line.trim().parse().ok().map(Duration::try_from_secs_f64);
        if times.len() == MAX_TIMES {
            let reason = format!("it has more than {MAX_TIMES} lines");
            return Err(Error::tracking(path, reason));
        }
        match time {
            Some(Ok(time)) if times.last().is_none_or(|last| *last <= time) => times.push(time),
            _ => {
                let reason = "expected seconds, not less than on the line above";
                return Err(Error::tracking(
                    path,
                    format!("line {}: {reason}", index + 1),
                ));
            }
        }
    }
    Ok(times)
}

/// The `seqinfo.ini` beside recorded detections or in the directory above; nothing where there is none.
///
/// # Errors
/// It cannot be read, or has a value that makes no sense.
pub fn sequence_info(detections: &Path) -> Result<SequenceInfo, Error> {
    let beside = detections.parent().unwrap_or(Path::new(""));
    let places = [beside.join("seqinfo.ini"), beside.join("../seqinfo.ini")];
    let Some(path) = places.iter().find(|path| path.is_file()) else {
        return Ok(SequenceInfo::default());
    };
    let text = read_text(path, MAX_SETTINGS_BYTES)?;
    SequenceInfo::parse(&text).map_err(|error| Error::tracking(path, error.to_string()))
}

fn read_text(path: &Path, max_bytes: u64) -> Result<String, Error> {
    let refuse = |error| Error::file(path, error);
    let mut text = String::new();
    let file = File::open(path).map_err(refuse)?;
    let read = file.take(max_bytes + 1).read_to_string(&mut text);
    match read.map_err(refuse)? as u64 > max_bytes {
        true => Err(Error::tracking(
            path,
            format!("it has more than {max_bytes} bytes"),
        )),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trackers_are_known_by_name_and_by_the_name_of_the_references_file() {
        for (name, camera_motion) in [
            ("default", false),
            ("bytetrack", false),
            ("bytetrack.yaml", false),
            ("botsort.yml", true),
            ("tracktrack", true),
        ] {
            assert_eq!(
                tracker(name).unwrap().camera_motion,
                camera_motion,
                "{name}"
            );
        }
        let said = tracker("sort").unwrap_err().to_string();
        assert!(
            said.contains("bytetrack") && said.contains("'sort'"),
            "{said}"
        );
        assert_eq!(tracker("/nowhere/a.yaml").unwrap_err().kind(), "file");
    }

    #[test]
    fn a_sequence_is_described_beside_its_detections_or_above() {
        let root = std::env::temp_dir().join(format!("onelook-sequence-{}", std::process::id()));
        std::fs::create_dir_all(root.join("det")).unwrap();
        let ini = "[Sequence]\nname=a\nframeRate = 14\nseqLength=20\n";
        std::fs::write(root.join("seqinfo.ini"), ini).unwrap();
        let expected = SequenceInfo {
            frame_rate: Some(14.0),
            frames: Some(20),
            image: None,
        };
        for file in ["det.txt", "det/det.txt"] {
            assert_eq!(sequence_info(&root.join(file)).unwrap(), expected, "{file}");
        }
        let elsewhere = sequence_info(&root.join("det/more/det.txt")).unwrap();
        assert_eq!(elsewhere, SequenceInfo::default());
        std::fs::remove_dir_all(&root).unwrap();
    }
}
