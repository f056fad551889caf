//! What `onelook predict` does with its results when something gets in the way: full disks, closed
//! pipes, signals, odd files. The model is an architecture with random weights: it needs no data.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(unix)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use onelook::media::{encode_jpeg, encode_png};
use onelook::types::Frame;
use serde_json::Value;
use test_support::ScratchDir;

/// A directory that goes when the test ends.
struct Scratch(ScratchDir);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(ScratchDir::new(name))
    }

    /// A list that names one image so many times.
    fn list(&self, count: usize) -> &Self {
        fs::write(self.0.join("a.png"), encode_png(&frame()).unwrap()).unwrap();
        fs::write(self.0.join("list.txt"), "a.png\n".repeat(count)).unwrap();
        self
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onelook"));
        command
            .args(["predict", "model=yolo11n.yaml", "imgsz=64", "device=cpu"])
            .args(words)
            .env("ONELOOK_CUDA_DRIVER", "/nonexistent/libcuda.so.1")
            .current_dir(&self.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn predict(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// The files of the run, sorted.
    fn saved(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.join("runs/detect/predict")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn saved_images(&self) -> usize {
        let names = self.saved();
        names.iter().filter(|name| name.ends_with(".png")).count()
    }
}

fn frame() -> Frame {
    Frame::filled(48, 32, [90, 120, 30]).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn results_that_cannot_be_written_are_a_failure() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    for words in [&["--json", "--no-save"][..], &["--no-save"], &["--json"]] {
        let scratch = Scratch::new("full");
        let output = scratch
            .list(3)
            .command(&[words, &["source=list.txt"]].concat())
            .stdout(File::options().write(true).open("/dev/full").unwrap())
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(
            said.contains("standard output: No space left on device"),
            "{said}"
        );
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_printing_but_not_the_saving() {
    let scratch = Scratch::new("closed");
    let words = ["source=list.txt", "--json", "save_json"];
    let mut child = scratch.list(30).command(&words).spawn().unwrap();
    let mut line = String::new();
    let mut reader = BufReader::with_capacity(1, child.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(scratch.saved_images(), 30);
    let lines = fs::read_to_string(scratch.0.join("runs/detect/predict/predictions.jsonl"));
    assert_eq!(lines.unwrap().lines().count(), 30);
}

#[test]
fn a_reader_that_goes_away_ends_a_run_that_saves_nothing() {
    let scratch = Scratch::new("nobody");
    let words = ["source=list.txt", "--no-save"];
    let mut child = scratch.list(100_000).command(&words).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn a_signal_ends_a_run_with_every_line_and_file_whole() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        for words in [&["--json", "batch=4"][..], &["--json", "save_csv"], &[]] {
            let scratch = Scratch::new("signal");
            let words = [words, &["source=list.txt", "save_json"]].concat();
            let mut child = scratch.list(100_000).command(&words).spawn().unwrap();
            let mut reader = BufReader::new(child.stdout.take().unwrap());
            let mut said = String::new();
            for _ in 0..5 {
                reader.read_line(&mut said).unwrap();
            }
            signal(&child, name);
            reader.read_to_string(&mut said).unwrap();
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{words:?}");
            assert!(text(&output.stderr).contains("ended by a signal after"));
            let saved = scratch.saved_images();
            let kept = fs::read_to_string(scratch.0.join("runs/detect/predict/predictions.jsonl"));
            let kept = kept.unwrap();
            assert!(kept.ends_with('\n'));
            assert_eq!(kept.lines().count(), saved);
            assert!(scratch.saved().iter().all(|name| !name.ends_with(".part")));
            for line in kept.lines() {
                serde_json::from_str::<Value>(line).unwrap();
            }
            if words.contains(&"--json") {
                assert_eq!(said.lines().count(), saved);
                let lines = said.lines().zip(kept.lines());
                assert!(lines.fold(true, |same, (printed, kept)| same && printed == kept));
            } else {
                assert!(said.contains("\nSpeed: ") && said.contains("\nResults saved to "));
            }
        }
    }
}

/// The plain executor takes minutes for this image.
#[test]
fn a_second_signal_ends_a_run_at_once() {
    let scratch = Scratch::new("twice");
    let words = ["source=list.txt", "imgsz=1280", "device=reference"];
    let child = scratch.list(1).command(&words).spawn().unwrap();
    // The run's directory is made right before signals are taken over.
    while !scratch.0.join("runs/detect/predict").exists() {
        sleep(Duration::from_millis(10));
    }
    sleep(Duration::from_millis(500));
    signal(&child, "-INT");
    sleep(Duration::from_millis(100));
    let start = Instant::now();
    signal(&child, "-TERM");
    let output = child.wait_with_output().unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(output.status.code(), Some(143));
    assert!(scratch.saved().is_empty());
}

#[test]
fn a_jpeg_without_its_end_is_used_with_a_warning() {
    let scratch = Scratch::new("odd");
    let jpeg = encode_jpeg(&frame(), 90).unwrap();
    fs::write(scratch.0.join("a.jpg"), &jpeg[..jpeg.len() - 2]).unwrap();
    fs::write(scratch.0.join("b.jpg"), &jpeg).unwrap();
    let output = scratch.predict(&["source=*.jpg", "--no-save"]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("this JPEG lacks its end").count(), 1);
    assert!(said.contains("warning: 'a.jpg': "), "{said}");
    let output = scratch.predict(&["source=*.jpg", "--no-save", "--json"]);
    let records: Vec<Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let warning = records[0]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("this JPEG lacks its end"));
    assert_eq!(records[1].get("warnings"), None);
    assert!(!text(&output.stderr).contains("lacks its end"));
}

#[test]
fn an_image_over_the_limit_names_the_flag_that_raises_it() {
    let scratch = Scratch::new("large");
    let mut bitmap = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bitmap.extend(20_000u32.to_le_bytes());
    bitmap.extend(10_000u32.to_le_bytes());
    bitmap.extend(b"\x01\0\x18\0");
    bitmap.resize(54, 0);
    fs::write(scratch.0.join("a.bmp"), bitmap).unwrap();
    let output = scratch.predict(&["source=a.bmp", "--no-save"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("claims 20000x10000 pixels, more than the limit of 178956970"));
    assert!(said.contains("--max-pixels MEGAPIXELS"), "{said}");
}
