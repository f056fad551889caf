//! `onelook track` and `count` on real videos against what the Python reference recorded.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::process::Command;

use onelook::media::video::Ffmpeg;
use serde_json::Value;

/// What the command prints as JSON, line by line, on a clip of the shared data.
fn lines(words: &[&str], clip: &str) -> Option<(PathBuf, Vec<Value>)> {
    if Ffmpeg::find(None).is_err() {
        test_support::skip("ffmpeg", "install it: apt install ffmpeg");
        return None;
    }
    let root = test_support::data()?.canonicalize().unwrap();
    let model = format!("model={}", root.join("weights/yolo11n-recon.pt").display());
    let source = format!("source={}", root.join(clip).display());
    let output = Command::new(env!("CARGO_BIN_EXE_onelook"))
        .args(words)
        .args([&model, &source, "imgsz=640", "--json", "save=False"])
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    Some((root, lines))
}

/// The same ids, classes and rows without an id on every frame, confidences within 0.002, boxes within half a
/// pixel.
fn compare(clip: &str, path: &str, tracker: &str) {
    let Some((root, lines)) = lines(&["track", &format!("tracker={tracker}.yaml")], path) else {
        return;
    };
    let record = root.join(format!("tracking/reference/clips/{clip}.{tracker}.json"));
    let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    let frames = record["frames"].as_array().unwrap();
    assert_eq!(lines.len(), frames.len());
    for (number, (line, expected)) in lines.iter().zip(frames).enumerate() {
        let found = line["detections"].as_array().unwrap();
        let rows = expected.as_array().unwrap();
        let ours: Vec<&Value> = found.iter().map(|object| &object["track_id"]).collect();
        let theirs: Vec<&Value> = rows.iter().map(|row| &row[0]).collect();
        assert_eq!(ours, theirs, "{clip}, {tracker}, frame {number}");
        for (object, row) in found.iter().zip(rows) {
            let of = |value: &Value| value.as_f64().unwrap();
            let place = format!("{clip}, {tracker}, frame {number}: {object} {row}");
            assert_eq!(object["class"], row[1], "{place}");
            assert!(
                (of(&object["confidence"]) - of(&row[2])).abs() < 0.002,
                "{place}"
            );
            for (side, name) in ["x1", "y1", "x2", "y2"].into_iter().enumerate() {
                let difference = of(&object["box"][name]) - of(&row[3 + side]);
                assert!(difference.abs() < 0.5, "{place}");
            }
        }
    }
}

#[test]
fn a_moving_camera_gives_the_references_tracks() {
    compare("bus-pan", "video/bus-pan.mp4", "bytetrack");
}

/// Both take the camera's motion out of their predictions.
#[test]
fn trackers_that_estimate_the_cameras_motion_give_the_references_tracks() {
    for tracker in ["botsort", "tracktrack"] {
        compare("bus-pan", "video/bus-pan.mp4", tracker);
    }
}

#[test]
fn a_road_gives_the_references_tracks() {
    compare("car-detection", "video/car-detection.mp4", "bytetrack");
}

#[test]
fn a_corridor_gives_the_references_tracks() {
    let clip = "one-by-one-person-20s";
    compare(clip, &format!("video/{clip}.mp4"), "bytetrack");
}

#[test]
fn a_square_of_people_gives_the_references_tracks() {
    let path = "tracking/PETS09-S2L1/pets09-s2l1-300.mp4";
    compare("pets09-s2l1-300", path, "bytetrack");
}

/// Two come in and seven go out, as ground truth has it.
#[test]
fn people_who_cross_a_line_of_a_video_are_counted() {
    let path = "tracking/PETS09-S2L1/pets09-s2l1-300.mp4";
    let line = "--line=gate=345,0,345,576";
    let words = ["count", "tracker=bytetrack", line, "classes=person"];
    let Some((_, lines)) = lines(&words, path) else {
        return;
    };
    let (totals, events) = lines.split_last().unwrap();
    let gate = &totals["lines"][0];
    assert_eq!(
        (&gate["in"], &gate["out"]),
        (&2.into(), &7.into()),
        "{gate}"
    );
    assert_eq!((events.len(), &totals["frames"]), (9, &300.into()));
    // Seven frames a second.
    for event in events {
        let frame = event["frame"].as_f64().unwrap();
        assert!((event["time"].as_f64().unwrap() - (frame - 1.0) / 7.0).abs() < 0.01);
    }
}
