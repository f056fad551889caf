//! Trackers on recorded detections against the tracks that the reference recorded.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs::{File, read_to_string};
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use onelook::media::video::{
    DecodeOptions, Ffmpeg, Next, StreamOptions, VideoAddress, VideoStream,
};
use onelook::mot::MotDetections;
use onelook::types::{BoxXyxy, Instance, Instances};
use onelook::vision::track::camera_motion::CameraMotion;
use onelook::vision::track::optical_flow::CameraMotionEstimator;
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

/// An object of the record: its id, class and box.
type Recorded = (Option<u64>, usize, BoxXyxy);

/// What is tracked on the recorded detections of a clip, frame by frame, and what the reference has recorded.
fn clip_frames(
    name: &str,
    clip: &str,
    motions: &[CameraMotion],
) -> Option<Vec<(Instances, Vec<Recorded>)>> {
    let root = data_file("tracking/reference/clips")?;
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
    let side = |name: &str| recorded["meta"][name].as_f64().unwrap() as usize;
    let size = [side("width"), side("height")];
    let frames = |value: &Value| value["frames"].as_array().unwrap().clone();
    let (detections, recorded) = (frames(&detections), frames(&recorded));
    assert_eq!(detections.len(), recorded.len());
    let frames = detections.iter().zip(&recorded).enumerate();
    let frames = frames.map(|(frame, (detections, recorded))| {
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
        // The reference's results end at the edges of the image.
        let seen = seen.iter().map(|object| Instance {
            bbox: object.bbox.clipped(size),
            ..object
        });
        // Rows without an id are detections that the reference passes on where nothing is tracked.
        let rows = recorded.as_array().unwrap().iter();
        let rows = rows.filter(|row| !row[0].is_null());
        let rows = rows.map(|row| (row[0].as_u64(), number(row, 1) as usize, bbox(row, 3)));
        (seen.collect(), rows.collect())
    });
    Some(frames.collect())
}

fn ids(seen: &Instances, recorded: &[Recorded]) -> [Vec<Option<u64>>; 2] {
    let ours = seen.iter().map(|object| object.track_id);
    [
        ours.collect(),
        recorded.iter().map(|(id, ..)| *id).collect(),
    ]
}

/// Compares on the recorded detections of a clip; boxes within `tolerance` hundredths of a pixel.
fn compare_clip(name: &str, clip: &str, motions: &[CameraMotion], tolerance: i64) {
    let Some(frames) = clip_frames(name, clip, motions) else {
        return;
    };
    for (frame, (seen, recorded)) in frames.iter().enumerate() {
        let [ours, theirs] = ids(seen, recorded);
        assert_eq!(ours, theirs, "{clip} {frame}");
        for (object, (_, class, bbox)) in seen.iter().zip(recorded) {
            assert_eq!(object.class, *class, "{clip} {frame}");
            let (ours, theirs) = (hundredths(&object.bbox), hundredths(bbox));
            let is_near = ours
                .iter()
                .zip(theirs)
                .all(|(ours, theirs)| (ours - theirs).abs() <= tolerance);
            assert!(is_near, "{clip} {frame}: {ours:?} {theirs:?}");
        }
    }
}

/// With the camera's motion as it is estimated here, on how many frames of a clip some id is not the reference's.
/// Where cameras stand still the reference's estimate is the one that is off.
#[test]
fn trackers_with_our_camera_motion_have_few_other_ids() {
    if Ffmpeg::find(None).is_err() {
        return test_support::skip("ffmpeg", "install it: apt install ffmpeg");
    }
    let clips = [
        ("botsort", "bus-pan", "video/bus-pan.mp4"),
        ("tracktrack", "bus-pan", "video/bus-pan.mp4"),
        ("tracktrack", "car-detection", "video/car-detection.mp4"),
        (
            "tracktrack",
            "one-by-one-person-20s",
            "video/one-by-one-person-20s.mp4",
        ),
        (
            "tracktrack",
            "pets09-s2l1-300",
            "tracking/PETS09-S2L1/pets09-s2l1-300.mp4",
        ),
    ];
    let others = clips.map(|(tracker, clip, file)| {
        let motions = estimated_motion(data_file(file)?);
        let frames = clip_frames(tracker, clip, &motions)?;
        let is_other = |(seen, recorded): &&(Instances, Vec<Recorded>)| {
            let [ours, theirs] = ids(seen, recorded);
            ours != theirs
        };
        Some(frames.iter().filter(is_other).count())
    });
    // A little more than there are: other versions of ffmpeg give other pixels.
    let most = [2, 2, 5, 2, 130];
    assert!(
        others
            .iter()
            .zip(most)
            .all(|(others, most)| others.is_none_or(|it| it <= most)),
        "{others:?}"
    );
}

fn estimated_motion(path: PathBuf) -> Vec<CameraMotion> {
    let address = VideoAddress::File(path);
    let decode = DecodeOptions::for_address(&address);
    let options = StreamOptions::for_address(&address);
    let ffmpeg = Ffmpeg::find(None).unwrap();
    let mut video = VideoStream::open(ffmpeg, address, decode, options);
    let mut estimator = CameraMotionEstimator::default();
    let mut motions = Vec::new();
    while let Next::Frame(frame) = video.next_frame(None) {
        motions.push(estimator.estimate(&frame.view().unwrap()));
    }
    motions
}
