//! Trackers on recorded detections against the tracks that the reference recorded.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs::{File, read_to_string};
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use onelook::mot::MotDetections;
use onelook::types::{BoxXyxy, Instances};
use onelook::vision::track::camera_motion::CameraMotion;
use onelook::vision::track::{FrameInfo, TrackerOptions};
use serde_json::Value;
use test_support::data_file;

/// Frame and id of a line, with its box in hundredths of a pixel.
type Tracks = BTreeMap<(u64, u64), [i64; 4]>;

fn hundredths(bbox: &BoxXyxy) -> [i64; 4] {
    let [x1, y1, x2, y2] = [bbox.x1, bbox.y1, bbox.x2, bbox.y2].map(f64::from);
    // Through text, as the record was rounded.
    [x1, y1, x2 - x1, y2 - y1]
        .map(|side| (format!("{side:.2}").parse::<f64>().unwrap() * 100.0).round() as i64)
}

fn tracks(tracker: &str, detections: &MotDetections, frames: u64) -> Tracks {
    let mut tracker = TrackerOptions::named(tracker).unwrap().build();
    let mut tracks = Tracks::new();
    for frame in 1..=frames {
        let seen = tracker.update(detections.frame(frame), &FrameInfo::default());
        for object in &seen {
            let id = object.track_id.unwrap();
            assert_eq!(tracks.insert((frame, id), hundredths(&object.bbox)), None);
        }
    }
    tracks
}

fn text(path: &Path) -> String {
    let packed = PathBuf::from(format!("{}.gz", path.display()));
    if !packed.is_file() {
        return read_to_string(path).unwrap();
    }
    let mut text = String::new();
    GzDecoder::new(File::open(packed).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn recorded(path: &Path) -> Tracks {
    let text = text(path);
    let line = |line: &str| {
        let numbers: Vec<f64> = line.split(',').map(|word| word.parse().unwrap()).collect();
        let side = |index: usize| (numbers[index] * 100.0).round() as i64;
        (
            (numbers[0] as u64, numbers[1] as u64),
            [2, 3, 4, 5].map(side),
        )
    };
    text.lines().map(line).collect()
}

/// How many rows of either the other has not, within `tolerance` hundredths of a pixel.
fn differences(ours: &Tracks, theirs: &Tracks, tolerance: i64) -> usize {
    let is_near =
        |a: &[i64; 4], b: &[i64; 4]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance);
    let missing = theirs
        .iter()
        .filter(|(key, theirs)| !ours.get(key).is_some_and(|ours| is_near(ours, theirs)));
    missing.count() + ours.keys().filter(|key| !theirs.contains_key(key)).count()
}

/// Compares on all sequences of MOT15 and on a video's detections, which has boxes of low confidence.
fn compare(tracker: &str, tolerance: i64, allowed: usize) {
    let Some(root) = data_file("tracking") else {
        return;
    };
    let reference = root.join(format!("reference/mot15-frcnn/ultralytics-{tracker}"));
    let mut sequences: Vec<(PathBuf, PathBuf, u64)> = Vec::new();
    for entry in std::fs::read_dir(&root).unwrap() {
        let sequence = entry.unwrap().path();
        let Ok(info) = read_to_string(sequence.join("seqinfo.ini")) else {
            continue;
        };
        let length = info
            .lines()
            .find_map(|line| line.strip_prefix("seqLength="));
        let name = sequence.file_name().unwrap().to_string_lossy().into_owned();
        sequences.push((
            sequence.join("det.txt"),
            reference.join(name + ".txt"),
            length.unwrap().trim().parse().unwrap(),
        ));
    }
    assert_eq!(sequences.len(), 11);
    sequences.push((
        root.join("PETS09-S2L1/det-yolo11n-300.txt"),
        root.join(format!(
            "reference/pets09-yolo11n-300/ultralytics-{tracker}.txt"
        )),
        300,
    ));
    let mut rows = 0;
    let mut different = 0;
    for (detections, record, frames) in sequences {
        let detections = MotDetections::parse(&read_to_string(detections).unwrap()).unwrap();
        let theirs = recorded(&record);
        different += differences(&tracks(tracker, &detections, frames), &theirs, tolerance);
        rows += theirs.len();
    }
    assert!(rows > 30_000, "{rows}");
    assert!(different <= allowed, "{different} of {rows} rows differ");
}

#[test]
fn bytetrack_gives_the_ids_and_boxes_of_the_reference() {
    compare("bytetrack", 0, 0);
}

#[test]
fn botsort_gives_the_ids_and_boxes_of_the_reference() {
    compare("botsort", 0, 0);
}

/// Boxes between two sightings are interpolated in another order of operations.
#[test]
fn ocsort_gives_the_ids_and_boxes_of_the_reference() {
    compare("ocsort", 1, 0);
}

/// On one frame a track takes another detection, and its box is another one for seven frames.
#[test]
fn tracktrack_gives_the_ids_and_boxes_of_the_reference() {
    compare("tracktrack", 1, 8);
}

/// The record's detections are rounded to hundredths of a pixel, so its boxes are equal to 0.05 pixels only.
#[test]
fn bytetrack_gives_the_ids_of_the_reference_on_clips_of_many_classes() {
    for clip in [
        "bus-pan",
        "car-detection",
        "one-by-one-person-20s",
        "pets09-s2l1-300",
    ] {
        compare_clip("bytetrack", clip, &[], 5);
    }
}

/// Given the camera's motion as the reference estimates it (8.4.190 with opencv 5.0.0, sparse optical flow).
/// The cameras of three of these clips stand still, and it says up to 113 pixels where objects fill most of
/// the frame: to have its ids there, one must have its motion. Corners are within half a pixel there, so widths
/// and heights within one.
#[test]
fn trackers_with_the_references_camera_motion_give_its_ids() {
    for (tracker, clip, tolerance) in [
        ("botsort", "bus-pan", 10),
        ("tracktrack", "bus-pan", 5),
        ("tracktrack", "pets09-s2l1-300", 5),
        ("tracktrack", "car-detection", 100),
        ("tracktrack", "one-by-one-person-20s", 100),
    ] {
        compare_clip(tracker, clip, &recorded_motion(clip), tolerance);
    }
}

/// How a clip's camera moved from frame to frame: six numbers a line.
fn recorded_motion(clip: &str) -> Vec<CameraMotion> {
    let root = env!("CARGO_MANIFEST_DIR");
    let text = read_to_string(format!("{root}/tests/camera_motion/{clip}.txt")).unwrap();
    let motion = |line: &str| {
        let numbers: Vec<f64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        let row = |first: usize| numbers[first..first + 3].try_into().unwrap();
        CameraMotion {
            rows: [row(0), row(3)],
        }
    };
    text.lines().map(motion).collect()
}

/// Compares on the recorded detections of a clip; boxes within `tolerance` hundredths of a pixel.
fn compare_clip(name: &str, clip: &str, motions: &[CameraMotion], tolerance: i64) {
    let Some(root) = data_file("tracking/reference/clips") else {
        return;
    };
    let read = |kind: &str| -> Value {
        let text = read_to_string(root.join(format!("{clip}.{kind}.json"))).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let number = |row: &Value, column: usize| row[column].as_f64().unwrap();
    let bbox = |row: &Value, first: usize| {
        let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|side| number(row, first + side) as f32);
        BoxXyxy { x1, y1, x2, y2 }
    };
    let mut tracker = TrackerOptions::named(name).unwrap().build();
    let (detections, recorded) = (read("detections"), read(name));
    let side = |name: &str| recorded["meta"][name].as_f64().unwrap() as f32;
    let (width, height) = (side("width"), side("height"));
    // The reference's results end at the edges of the image.
    let inside = |bbox: BoxXyxy| BoxXyxy {
        x1: bbox.x1.clamp(0.0, width),
        y1: bbox.y1.clamp(0.0, height),
        x2: bbox.x2.clamp(0.0, width),
        y2: bbox.y2.clamp(0.0, height),
    };
    let frames = |value: &Value| value["frames"].as_array().unwrap().clone();
    let (detections, recorded) = (frames(&detections), frames(&recorded));
    assert_eq!(detections.len(), recorded.len());
    for (frame, (detections, recorded)) in detections.iter().zip(&recorded).enumerate() {
        let rows = detections.as_array().unwrap();
        let detections = Instances::new(
            rows.iter().map(|row| bbox(row, 2)).collect(),
            rows.iter().map(|row| number(row, 0) as usize).collect(),
            rows.iter().map(|row| number(row, 1) as f32).collect(),
        );
        let info = FrameInfo {
            camera_motion: motions.get(frame).copied().unwrap_or_default(),
            ..FrameInfo::default()
        };
        let seen = tracker.update(&detections, &info);
        // Rows without an id are detections that the reference passes on where nothing is tracked.
        let recorded: Vec<&Value> = recorded
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| !row[0].is_null())
            .collect();
        let ids: Vec<Option<u64>> = recorded.iter().map(|row| row[0].as_u64()).collect();
        let ours: Vec<Option<u64>> = seen.iter().map(|object| object.track_id).collect();
        assert_eq!(ours, ids, "{clip} {frame}");
        for (object, row) in seen.iter().zip(recorded) {
            assert_eq!(object.class, number(row, 1) as usize, "{clip} {frame}");
            let (ours, theirs) = (hundredths(&inside(object.bbox)), hundredths(&bbox(row, 3)));
            let is_near = ours
                .iter()
                .zip(theirs)
                .all(|(ours, theirs)| (ours - theirs).abs() <= tolerance);
            assert!(is_near, "{clip} {frame}: {ours:?} {theirs:?}");
        }
    }
}
