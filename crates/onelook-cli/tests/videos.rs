//! `onelook predict` on videos: what it prints and saves, how it ends. Needs ffmpeg and ffprobe with libx264;
//! without them the tests say SKIPPED, and fail in CI. The model of all but one has random weights.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use onelook::media::video::Ffmpeg;
use serde_json::Value;
use test_support::ScratchDir;

/// A directory that goes when the test ends.
struct Scratch(ScratchDir);

impl Scratch {
    fn new(name: &str) -> Option<Self> {
        if Ffmpeg::find(None).is_err() {
            test_support::skip("ffmpeg", "install it: apt install ffmpeg");
            return None;
        }
        Some(Self(ScratchDir::new(name)))
    }

    /// A pattern of so many frames at ten a second with a gap of a second after the fifth, and a tone.
    fn clip(&self, name: &str, frames: u32) {
        let pattern = format!("testsrc2=s=64x48:r=10:d={}", f64::from(frames) / 10.0);
        let made = Command::new("ffmpeg")
            .args([
                "-nostdin", "-v", "error", "-f", "lavfi", "-i", &pattern, "-f", "lavfi", "-i",
            ])
            .args([&format!("sine=d={}", f64::from(frames) / 10.0 + 1.0), "-vf"])
            .args([
                "settb=1/10,setpts=N+10*gte(N\\,5)",
                "-fps_mode",
                "passthrough",
                "-enc_time_base",
                "1:90000",
            ])
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"])
            .arg(self.0.join(name))
            .status();
        assert!(made.unwrap().success());
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onelook"));
        command
            .args(["predict", "model=yolo11n.yaml", "imgsz=64", "device=cpu"])
            .args(words)
            .current_dir(&self.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn predict(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn saved(&self, path: &str) -> PathBuf {
        self.0.join("runs/detect/predict").join(path)
    }

    fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.saved(path)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The times of a video's frames, in seconds, and the codec of its sound.
fn probe(path: &Path) -> (Vec<f64>, String) {
    let ask = |words: &[&str]| {
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-of", "csv=p=0"])
            .args(words)
            .arg(path)
            .output();
        text(&output.unwrap().stdout)
    };
    let times = ask(&["-select_streams", "v:0", "-show_entries", "frame=pts_time"]);
    let times = times
        .lines()
        .filter_map(|line| line.trim_end_matches(',').parse().ok());
    let sound = ask(&[
        "-select_streams",
        "a:0",
        "-show_entries",
        "stream=codec_name",
    ]);
    (times.collect(), sound.trim().to_owned())
}

#[test]
fn a_video_becomes_lines_labels_frames_and_a_video_of_the_same_times() {
    let Some(scratch) = Scratch::new("saved") else {
        return;
    };
    scratch.clip("a clip.mp4", 10);
    let words = [
        "source=a clip.mp4",
        "save_txt",
        "save_frames",
        "save_csv",
        "save_json",
        "conf=0",
        "max_det=2",
    ];
    let output = scratch.predict(&words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let first = said.lines().next().unwrap();
    assert!(
        first.starts_with("video 1/1 (frame 1/10) a clip.mp4: 64x64 "),
        "{said}"
    );
    assert_eq!(scratch.names("labels").len(), 10);
    assert!(scratch.saved("labels/a clip_10.txt").is_file());
    assert!(scratch.saved("a clip_frames/10.jpg").is_file());
    let expected = probe(&scratch.0.join("a clip.mp4"));
    let (times, sound) = probe(&scratch.saved("a clip.mp4"));
    assert_eq!((times.len(), sound.as_str()), (10, "aac"));
    for (time, expected) in times.iter().zip(&expected.0) {
        assert!((time - expected).abs() < 0.001, "{times:?}");
    }
    let lines = fs::read_to_string(scratch.saved("predictions.jsonl")).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (index, (line, expected)) in lines.iter().zip(&expected.0).enumerate() {
        assert_eq!(line["frame"], index + 1);
        assert!(
            (line["time"].as_f64().unwrap() - expected).abs() < 0.001,
            "{line}"
        );
    }
    assert!(lines[5]["time"].as_f64().unwrap() > 1.4, "{}", lines[5]);
    let table = fs::read_to_string(scratch.saved("predictions.csv")).unwrap();
    assert!(table.starts_with("source,class,name,confidence,x1,y1,x2,y2,frame,time\n"));
    assert_eq!(
        scratch.names(""),
        [
            "a clip.mp4",
            "a clip_frames",
            "labels",
            "predictions.csv",
            "predictions.jsonl"
        ]
    );
}

#[test]
fn every_third_frame_keeps_its_time() {
    let Some(scratch) = Scratch::new("stride") else {
        return;
    };
    scratch.clip("a.mp4", 10);
    let output = scratch.predict(&["source=a.mp4", "vid_stride=3", "--json", "save=False"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let times: Vec<f64> = text(&output.stdout)
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["time"]
                .as_f64()
                .unwrap()
        })
        .collect();
    assert_eq!(times, [0.0, 0.3, 1.6, 1.9]);
}

#[test]
fn two_videos_of_one_name_and_a_damaged_one_do_not_harm_each_other() {
    let Some(scratch) = Scratch::new("several") else {
        return;
    };
    fs::create_dir(scratch.0.join("day")).unwrap();
    scratch.clip("a.mp4", 3);
    scratch.clip("day/a.mp4", 4);
    fs::write(scratch.0.join("b.mp4"), b"no video").unwrap();
    let words = ["source=a.mp4", "source=b.mp4", "source=day/a.mp4"];
    let output = scratch.predict(&words);
    assert_eq!(output.status.code(), Some(1));
    let complaint = text(&output.stderr);
    assert!(
        complaint.contains("'b.mp4': it cannot be opened"),
        "{complaint}"
    );
    assert!(
        complaint.contains("1 of 3 images and videos could not be used"),
        "{complaint}"
    );
    assert_eq!(probe(&scratch.saved("a.mp4")).0.len(), 3);
    assert_eq!(probe(&scratch.saved("a-2.mp4")).0.len(), 4);
}

#[test]
fn a_signal_ends_a_video_with_a_whole_file() {
    let Some(scratch) = Scratch::new("signal") else {
        return;
    };
    scratch.clip("a.mp4", 2000);
    let mut child = scratch.command(&["source=a.mp4"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..20 {
        lines.next().unwrap().unwrap();
    }
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let rest = lines
        .map(Result::unwrap)
        .filter(|line| line.starts_with("video "));
    let done = 20 + rest.count();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let (times, sound) = probe(&scratch.saved("a.mp4"));
    assert_eq!((times.len(), sound.as_str()), (done, "aac"));
    assert_eq!(scratch.names(""), ["a.mp4"]);
}

#[test]
fn without_ffmpeg_a_video_says_what_to_install_and_images_need_none() {
    let Some(scratch) = Scratch::new("without") else {
        return;
    };
    scratch.clip("a.mp4", 2);
    let output = scratch
        .command(&["source=a.mp4"])
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("'a.mp4': videos are read by ffmpeg"),
        "{said}"
    );
    assert!(said.contains("apt install ffmpeg"), "{said}");
    let frame = onelook::types::Frame::filled(8, 8, [1, 2, 3]).unwrap();
    fs::write(
        scratch.0.join("a.png"),
        onelook::media::encode_png(&frame).unwrap(),
    )
    .unwrap();
    let output = scratch
        .command(&["source=a.png"])
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// What the reference finds on a clip, frame by frame: the same boxes within 0.5 pixels and 0.002.
#[test]
fn detections_of_a_clip_are_those_of_the_reference() {
    let Some(scratch) = Scratch::new("reference") else {
        return;
    };
    let Some(root) = test_support::data() else {
        return;
    };
    let root = root.canonicalize().unwrap();
    let reference = root.join("tracking/reference/clips/bus-pan.detections.json");
    let reference: Value = serde_json::from_slice(&fs::read(reference).unwrap()).unwrap();
    let frames = reference["frames"].as_array().unwrap();
    let model = format!("model={}", root.join("weights/yolo11n-recon.pt").display());
    let source = format!("source={}", root.join("video/bus-pan.mp4").display());
    let output = Command::new(env!("CARGO_BIN_EXE_onelook"))
        .args([
            "predict",
            &model,
            &source,
            "conf=0.1",
            "iou=0.7",
            "imgsz=640",
            "--json",
            "save=False",
        ])
        .current_dir(&scratch.0)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    assert_eq!(lines.lines().count(), frames.len());
    for (number, (line, expected)) in lines.lines().zip(frames).enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        let mut rows: Vec<&Value> = expected.as_array().unwrap().iter().collect();
        let found = line["detections"].as_array().unwrap();
        assert_eq!(found.len(), rows.len(), "frame {number}");
        for object in found {
            let number_of = |value: &Value| value.as_f64().unwrap();
            let sides = ["x1", "y1", "x2", "y2"].map(|side| number_of(&object["box"][side]));
            let is_same = |row: &&Value| {
                row[0] == object["class"]
                    && (number_of(&row[1]) - number_of(&object["confidence"])).abs() < 0.002
                    && (0..4).all(|side| (number_of(&row[2 + side]) - sides[side]).abs() < 0.5)
            };
            let place = rows.iter().position(is_same);
            rows.remove(
                place.unwrap_or_else(|| panic!("frame {number}: {object} is not in {rows:?}")),
            );
        }
    }
}
