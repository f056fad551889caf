//! `onelook track` and `count` over videos, images and several streams at once: what is printed and saved, how
//! it ends. Needs ffmpeg and ffprobe with libx264; without them the tests say SKIPPED, and fail in CI. The model
//! has random weights, so its objects mean nothing; on a still image they stay where they are.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use onelook::media::video::Ffmpeg;
use serde_json::Value;
use test_support::ScratchDir;

/// Takes every detection, whatever its confidence.
const TRACKER: &str = "tracker_type: bytetrack\ntrack_high_thresh: 0.0\ntrack_low_thresh: 0.0\n\
    new_track_thresh: 0.0\nfuse_score: False\n";

/// A directory that goes when the test ends.
struct Scratch(ScratchDir);

impl Scratch {
    fn new(name: &str) -> Option<Self> {
        if Ffmpeg::find(None).is_err() {
            test_support::skip("ffmpeg", "install it: apt install ffmpeg");
            return None;
        }
        let scratch = Self(ScratchDir::new(name));
        scratch.write("all.yaml", TRACKER);
        Some(scratch)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// So many frames, ten a second, of a still image or of one that moves.
    fn clip(&self, name: &str, frames: u32, pattern: &str) {
        let seconds = f64::from(frames) / 10.0;
        let pattern = format!("{pattern}=s=64x48:r=10:d={seconds}");
        let made = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", &pattern])
            .args(["-c:v", "libx264", "-preset", "ultrafast"])
            .arg(self.0.join(name))
            .status();
        assert!(made.unwrap().success());
    }

    fn still(&self, name: &str, frames: u32) {
        self.clip(name, frames, "smptebars");
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onelook"));
        let mut words = words.split(' ');
        command
            .args(words.next())
            .args(["model=yolo11n.yaml", "imgsz=64", "device=cpu", "conf=0"])
            .args(words)
            .current_dir(&self.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    fn output(&self, words: &str) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The lines of JSON.
    fn values(&self, words: &str) -> Vec<Value> {
        values(&self.output(&format!("{words} --json")))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn values(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The ids of a line's objects, sorted; each object has one.
fn ids(line: &Value) -> Vec<u64> {
    let objects = line["detections"].as_array().unwrap().iter();
    let mut ids: Vec<u64> = objects
        .map(|object| object["track_id"].as_u64().unwrap())
        .collect();
    ids.sort_unstable();
    ids
}

fn frames_of(path: &str, scratch: &Scratch) -> usize {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0", "-show_entries"])
        .args(["frame=pts_time", "-select_streams", "v:0"])
        .arg(scratch.0.join(path))
        .output();
    let said = text(&output.unwrap().stdout);
    let times = said
        .lines()
        .map(|line| line.trim_end_matches(',').parse::<f64>());
    times.filter(Result::is_ok).count()
}

#[test]
fn ids_are_in_every_output() {
    let Some(scratch) = Scratch::new("outputs") else {
        return;
    };
    scratch.still("a.mp4", 4);
    let words = "track source=a.mp4 tracker=all.yaml max_det=2 save_txt save_conf save_csv save_json save_mot \
        persist=True show=False";
    let said = scratch.output(words);
    let ids_told = said.lines().filter(|line| line.starts_with("video 1/1"));
    assert!(
        ids_told
            .clone()
            .all(|line| line.contains('1') && line.contains("(")),
        "{said}"
    );
    assert_eq!(ids_told.count(), 4);
    let run = "runs/detect/track";
    for line in values(&scratch.read(&format!("{run}/predictions.jsonl"))) {
        assert_eq!(ids(&line), [1, 2], "{line}");
    }
    let labels = scratch.read(&format!("{run}/labels/a_4.txt"));
    let last = |line: &str| line.split(' ').next_back().unwrap().to_owned();
    let mut last: Vec<String> = labels.lines().map(last).collect();
    last.sort();
    assert_eq!(last, ["1", "2"]);
    assert!(labels.lines().all(|line| line.split(' ').count() == 7));
    let table = scratch.read(&format!("{run}/predictions.csv"));
    assert!(table.starts_with("source,class,name,confidence,x1,y1,x2,y2,frame,time,track_id\n"));
    assert_eq!(table.lines().filter(|line| line.ends_with(",2")).count(), 4);
    let tracks = scratch.read(&format!("{run}/a.txt"));
    assert_eq!(tracks.lines().count(), 8);
    assert!(tracks.lines().next_back().unwrap().starts_with("4,"));
    assert_eq!(frames_of(&format!("{run}/a.mp4"), &scratch), 4);
}

#[test]
fn each_video_begins_anew_and_images_are_one_sequence() {
    let Some(scratch) = Scratch::new("anew") else {
        return;
    };
    scratch.still("a.mp4", 3);
    scratch.clip("b.mp4", 3, "testsrc2");
    let words = "track source=a.mp4 source=b.mp4 tracker=all.yaml max_det=1 save=False save_mot";
    let lines = scratch.values(words);
    assert_eq!(lines.len(), 6);
    assert_eq!((ids(&lines[0]), ids(&lines[3])), (vec![1], vec![1]));
    let tracks = scratch.read("runs/detect/track/b.txt");
    assert!(tracks.starts_with("1,1,"), "{tracks}");
    fs::create_dir(scratch.0.join("images")).unwrap();
    let frame = onelook::types::Frame::filled(64, 48, [90, 20, 60]).unwrap();
    let png = onelook::media::encode_png(&frame).unwrap();
    for name in ["1.png", "2.png", "3.png"] {
        fs::write(scratch.0.join("images").join(name), &png).unwrap();
    }
    let words = "track source=images tracker=all.yaml max_det=1 save=False mot=out.txt";
    let lines = scratch.values(words);
    assert!(lines.iter().all(|line| ids(line) == [1]), "{lines:?}");
    let saved = scratch.read("out.txt");
    let frames: Vec<&str> = saved
        .lines()
        .map(|line| line.split(',').next().unwrap())
        .collect();
    assert_eq!(frames, ["1", "2", "3"]);
}

#[test]
fn the_videos_of_a_list_of_streams_run_at_once_and_a_damaged_one_harms_no_other() {
    let Some(scratch) = Scratch::new("list") else {
        return;
    };
    // Long enough that the other one begins before it ends, however late the system starts its decoder.
    scratch.still("a.mp4", 300);
    scratch.still("b.mp4", 7);
    scratch.write("broken.mp4", "no video");
    scratch.write("all.streams", "# two that work\na.mp4\nbroken.mp4\nb.mp4\n");
    let words = "track source=all.streams tracker=all.yaml max_det=1 save_mot --json";
    let output = scratch.run(words);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("broken.mp4"), "{said}");
    assert!(said.contains("1 of 3 images and videos"), "{said}");
    let lines = values(&text(&output.stdout));
    for (name, frames) in [("a.mp4", 300), ("b.mp4", 7)] {
        let of: Vec<&Value> = lines.iter().filter(|line| line["source"] == name).collect();
        assert_eq!(of.len(), frames, "{name}");
        for (index, line) in of.iter().enumerate() {
            assert_eq!(line["frame"], index + 1);
            assert_eq!(ids(line), [1], "{line}");
            assert!(line["age_ms"].is_number());
        }
        let saved = format!("runs/detect/track/{name}");
        assert_eq!(frames_of(&saved, &scratch), frames);
        let tracks = scratch.read(&saved.replace(".mp4", ".txt"));
        assert_eq!(tracks.lines().count(), frames);
    }
    let first_of_b = lines.iter().position(|line| line["source"] == "b.mp4");
    let last_of_a = lines.iter().rposition(|line| line["source"] == "a.mp4");
    assert!(first_of_b < last_of_a, "one ran after the other");
}

/// A live stream from an ffmpeg that gives a clip for ever, and a port where nobody listens.
#[test]
fn a_signal_ends_live_streams_with_whole_files_and_a_dead_one_harms_no_other() {
    let Some(scratch) = Scratch::new("live") else {
        return;
    };
    scratch.still("a.mp4", 50);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let address = format!("tcp://127.0.0.1:{port}");
    let mut server = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i"])
        .arg(scratch.0.join("a.mp4"))
        .args(["-c", "copy", "-f", "mpegts", &format!("{address}?listen=1")])
        .spawn()
        .unwrap();
    scratch.write("live.streams", &format!("{address}\ntcp://127.0.0.1:1\n"));
    let words = "track source=live.streams tracker=all.yaml max_det=1 save_mot save_csv max_fps=5";
    let mut child = scratch.command(words).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..5 {
        let line = lines.next().unwrap().unwrap();
        assert!(line.starts_with("video 1/2 (frame "), "{line}");
    }
    let mut complaints = BufReader::new(child.stderr.take().unwrap()).lines();
    let warned = complaints.find(|line| line.as_ref().unwrap().contains("tcp://127.0.0.1:1'"));
    assert!(warned.unwrap().unwrap().contains("it is opened again"));
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let done = 5 + rest
        .iter()
        .filter(|line| line.starts_with("video "))
        .count();
    let code = child.wait().unwrap().code();
    let _ = server.kill();
    let _ = server.wait();
    assert_eq!(code, Some(130), "{rest:?}");
    assert!(
        rest.iter().any(|line| line.starts_with("2 streams, ")),
        "{rest:?}"
    );
    let names = fs::read_dir(scratch.0.join("runs/detect/track")).unwrap();
    let names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let video = names.iter().find(|name| name.ends_with(".mp4")).unwrap();
    assert_eq!(
        frames_of(&format!("runs/detect/track/{video}"), &scratch),
        done
    );
    assert!(
        !names.iter().any(|name| name.contains(".part")),
        "{names:?}"
    );
    let table = scratch.read("runs/detect/track/predictions.csv");
    let times = table.lines().skip(1).map(|row| row.split(',').nth(9));
    let times: Vec<f64> = times
        .filter_map(|time| time.unwrap().parse().ok())
        .collect();
    assert!(times.len() >= 5, "{table}");
    // Five a second, counted from when each was due.
    let seconds = times[times.len() - 1] - times[0];
    assert!(seconds > (times.len() - 2) as f64 * 0.2 - 0.1, "{times:?}");
}

#[test]
fn stays_and_crossings_are_events_with_the_time_of_the_video() {
    let Some(scratch) = Scratch::new("count") else {
        return;
    };
    scratch.still("a.mp4", 10);
    let words = "count source=a.mp4 tracker=all.yaml max_det=1 anchor=centre zone=all=0,0,64,0,64,48,0,48 \
        line=edge=0,47,64,47 events=events.jsonl";
    let said = scratch.output(words);
    assert!(said.contains("a.mp4 0.20 s: all entered"), "{said}");
    assert!(
        said.contains("zone all: 0 entered, 1 born inside"),
        "{said}"
    );
    assert!(said.contains("line edge: 0 in, 0 out"), "{said}");
    let events = values(&scratch.read("events.jsonl"));
    assert_eq!(events.len(), 1);
    for (key, expected) in [("source", "a.mp4"), ("place", "all"), ("event", "entered")] {
        assert_eq!(events[0][key], expected);
    }
    assert_eq!(
        (&events[0]["frame"], &events[0]["time"]),
        (&3.into(), &0.2.into())
    );
    assert_eq!(frames_of("runs/detect/count/a.mp4", &scratch), 10);
    let lines = scratch.values(&format!("{words} save=False"));
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["zones"][0]["born_inside"], 1);
    assert_eq!(lines[1]["frames"], 10);
}

#[test]
fn mistakes_are_named() {
    let Some(scratch) = Scratch::new("mistakes") else {
        return;
    };
    scratch.still("a.mp4", 2);
    scratch.still("b.mp4", 2);
    scratch.write("all.streams", "a.mp4\nb.mp4\n");
    scratch.write("mixed.streams", "rtsp://127.0.0.1:1/a\nphoto.jpg\n");
    for (words, expected) in [
        ("track source=a.mp4 source=b.mp4 mot=out.txt", "save-mot"),
        ("track source=all.streams tile=32", "--tile"),
        ("track source=mixed.streams", "photo.jpg' is no video"),
        ("track source=a.mp4 tracker=sort", "'sort'"),
        ("track source=a.mp4 times=t.txt", "--times"),
        ("track source=a.mp4 detections=det.txt", "--detections"),
        ("count source=a.mp4", "nothing to count"),
        ("count source=a.mp4 line=gate=0,0,99,99", "gate"),
    ] {
        let output = scratch.run(words);
        let said = text(&output.stderr);
        let is_usage = !expected.contains("is no video");
        let code = if is_usage { 2 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{words}: {said}");
        assert!(said.contains(expected), "{words}: {said}");
    }
}
