//! `--resume`: a run that is killed goes on, and what it leaves in the end is what an uninterrupted run leaves. Needs
//! ffmpeg and ffprobe with libx264; without them the tests say SKIPPED, and fail in CI.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use onelook::media::video::Ffmpeg;
use serde_json::Value;
use test_support::ScratchDir;

struct Scratch(ScratchDir);

impl Scratch {
    fn new(name: &str) -> Option<Self> {
        if Ffmpeg::find(None).is_err() {
            test_support::skip("ffmpeg", "install it: apt install ffmpeg");
            return None;
        }
        Some(Self(ScratchDir::new(name)))
    }

    /// A moving pattern with gaps between some frames, B-frames, key frames every two seconds, and a tone.
    fn clip(&self, name: &str, frames: u32) {
        let seconds = f64::from(frames) / 10.0;
        let pattern = format!("testsrc2=s=64x48:r=10:d={seconds}");
        let made = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", &pattern])
            .args(["-f", "lavfi", "-i", &format!("sine=d={}", seconds + 1.0)])
            .args(["-vf", "settb=1/90000,setpts=N*9000+floor(N/7)*2997"])
            .args(["-fps_mode", "passthrough", "-enc_time_base", "1:90000"])
            .args(["-c:v", "libx264", "-g", "20", "-bf", "2", "-c:a", "aac"])
            .arg(self.0.join(name))
            .status();
        assert!(made.unwrap().success());
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onelook"));
        command
            .args(words.split_whitespace())
            .args(["model=yolo11n.yaml", "imgsz=64", "device=cpu", "conf=0"])
            .current_dir(&self.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs it until it has told of so many frames, then kills it.
    fn kill_after(&self, words: &str, frames: usize) {
        let mut child = self.command(words).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.take(frames).count(), frames);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Runs it until so many lines of JSON are saved in all, then kills it.
    fn kill_at(&self, words: &str, lines: usize) {
        let mut child = self.command(words).stdout(Stdio::null()).spawn().unwrap();
        let saved = self.0.join("runs/detect/killed/.predictions.jsonl.onelook");
        while fs::read_to_string(&saved).map_or(0, |text| text.lines().count()) < lines {
            assert!(child.try_wait().unwrap().is_none(), "it ended before");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// All files of a run by their names. Times of work are taken out of JSON; videos are the times and sizes of
    /// their frames, and those of their sound.
    fn files(&self, directory: &str) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        let root = self.0.join(directory);
        collect(&root, &root, &mut files);
        files
    }
}

fn collect(root: &Path, place: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
            continue;
        }
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let content = match path.extension().and_then(|it| it.to_str()) {
            Some("mp4") => probe(&path),
            Some("jsonl") => without_speed(&fs::read_to_string(&path).unwrap()),
            _ => format!("{:x?}", fs::read(&path).unwrap()),
        };
        files.insert(name, content);
    }
}

fn probe(path: &Path) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0", "-show_entries"])
        .arg("frame=media_type,pts_time,width,height,nb_samples")
        .arg(path)
        .output()
        .unwrap();
    // In whatever order the file has sound and images.
    let text = String::from_utf8(output.stdout).unwrap();
    // Frames with other information end in a comma.
    let lines = text.lines().map(|line| line.trim_end_matches(','));
    let mut lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn without_speed(lines: &str) -> String {
    let records = lines.lines().map(|line| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        if let Some(record) = record.as_object_mut() {
            for measured in ["speed_ms", "age_ms"] {
                record.remove(measured);
            }
        }
        format!("{record}\n")
    });
    records.collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_run_that_is_killed_again_and_again_leaves_what_an_uninterrupted_one_leaves() {
    let Some(scratch) = Scratch::new("killed") else {
        return;
    };
    scratch.clip("a.mp4", 60);
    scratch.clip("b.mp4", 30);
    let saves =
        "source=a.mp4 source=b.mp4 save_json save_csv save_txt save_crop save_frames max_det=4";
    let line = "--line gate=0,24,64,24 --zone all=0,0,64,0,64,48,0,48";
    for (command, tracker) in [
        ("track --save-mot", "botsort"),
        (
            &format!("count {line} --events events.jsonl --verbose --json"),
            "default",
        ),
        ("predict vid_stride=3", ""),
    ] {
        let tracker = match tracker {
            "" => String::new(),
            tracker => format!("tracker={tracker}.yaml"),
        };
        let tracker = tracker.replace("default.yaml", "default");
        let words = format!("{command} {saves} {tracker}");
        let whole = scratch.run(&format!("{words} name=whole"));
        assert!(whole.status.success(), "{}", text(&whole.stderr));
        let words = format!("{words} name=killed resume checkpoint_every=0.05");
        let frames = if command.contains("stride") { 30 } else { 90 };
        for tenths in [1, 4, 6, 8] {
            scratch.kill_at(&words, frames * tenths / 10);
        }
        let resumed = scratch.run(&words);
        assert!(resumed.status.success(), "{}", text(&resumed.stderr));
        assert!(text(&resumed.stderr).contains("going on in") || command.contains("json"));
        let expected = scratch.files("runs/detect/whole");
        let found = scratch.files("runs/detect/killed");
        let names: Vec<&String> = found.keys().collect();
        assert_eq!(names, expected.keys().collect::<Vec<_>>(), "{command}");
        for (name, content) in &expected {
            let lines = found[name].lines().zip(content.lines());
            let different = lines.filter(|(found, expected)| found != expected);
            let different: Vec<_> = different.take(3).collect();
            assert!(&found[name] == content, "{command}: {name}: {different:?}");
        }
        fs::remove_dir_all(scratch.0.join("runs")).unwrap();
    }
}

#[test]
fn a_signal_keeps_what_it_takes_and_another_command_begins_anew() {
    let Some(scratch) = Scratch::new("signal") else {
        return;
    };
    scratch.clip("a.mp4", 300);
    let words = "predict source=a.mp4 resume save_json";
    let mut child = scratch.command(words).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Vec<_> = lines.by_ref().take(30).collect();
    assert_eq!(first.len(), 30);
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let done = 30
        + lines
            .filter(|line| line.as_ref().unwrap().starts_with("video"))
            .count();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let other = scratch.run("predict source=a.mp4 resume save_json save_conf");
    assert!(other.status.success(), "{}", text(&other.stderr));
    assert!(
        scratch
            .0
            .join("runs/detect/predict-2/predictions.jsonl")
            .is_file()
    );
    let resumed = scratch.run(words);
    assert!(resumed.status.success(), "{}", text(&resumed.stderr));
    let told = text(&resumed.stdout);
    let lines = told.lines().filter(|line| line.starts_with("video"));
    assert_eq!(lines.count(), 300 - done, "{}", text(&resumed.stderr));
    let record = fs::read_to_string(scratch.0.join("runs/detect/predict/predictions.jsonl"));
    assert_eq!(record.unwrap().lines().count(), 300);
}

#[test]
fn what_cannot_go_on_is_refused_and_a_changed_video_is_another_run() {
    let Some(scratch) = Scratch::new("refused") else {
        return;
    };
    let output = scratch.run("predict source=rtsp://127.0.0.1:9/a resume");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--resume is for video files"));
    scratch.clip("a.mp4", 60);
    let words = "predict source=a.mp4 resume checkpoint_every=0.01";
    scratch.kill_after(words, 20);
    scratch.clip_again("a.mp4", 30);
    let output = scratch.run(words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(scratch.0.join("runs/detect/predict-2/a.mp4").is_file());
    // So it is among others, though the words of the command are the same.
    let words = "predict source=*.mp4 resume checkpoint_every=0.01 name=glob";
    scratch.kill_after(words, 20);
    fs::copy(scratch.0.join("a.mp4"), scratch.0.join("0.mp4")).unwrap();
    let output = scratch.run(words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for video in ["0.mp4", "a.mp4"] {
        assert!(scratch.0.join("runs/detect/glob-2").join(video).is_file());
    }
}

impl Scratch {
    fn clip_again(&self, name: &str, frames: u32) {
        fs::remove_file(self.0.join(name)).unwrap();
        self.clip(name, frames);
    }
}
