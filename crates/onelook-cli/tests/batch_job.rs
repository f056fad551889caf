//! `predict --manifest`: a job that is ended goes on, and what it leaves is what an uninterrupted job leaves. The
//! model is an architecture with random weights: it needs no data.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use onelook::media::encode_png;
use onelook::types::Frame;
use serde_json::Value;
use test_support::ScratchDir;

/// A directory that goes when the test ends.
struct Scratch(ScratchDir);

impl Scratch {
    /// With a manifest of so many lines, of which every seventh names no file.
    fn new(name: &str, lines: usize) -> Self {
        let path = ScratchDir::new(name);
        fs::create_dir(path.join("images")).unwrap();
        for (name, size) in [("a", [40, 24]), ("b[1]", [24, 40])] {
            let pixels = (0..size[0] * size[1] * 3).map(|at| (at * 7 % 251) as u8);
            let frame = Frame::new(size[0], size[1], pixels.collect()).unwrap();
            let path = path.join(format!("images/{name}.png"));
            fs::write(path, encode_png(&frame).unwrap()).unwrap();
        }
        let line = |at: usize| match at % 7 {
            6 => "images/none.png\n\n".to_owned(),
            at => format!("images/{}.png\n", ["a", "b[1]"][at % 2]),
        };
        let text: String = (0..lines).map(line).collect();
        fs::write(path.join("list.txt"), text).unwrap();
        Self(path)
    }

    fn command(&self, words: &str) -> Command {
        self.job(&format!("manifest=list.txt {words}"))
    }

    fn job(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onelook"));
        command
            .args([
                "predict",
                "model=yolo11n.yaml",
                "imgsz=64",
                "device=cpu",
                "conf=0",
            ])
            .arg("max_det=3")
            .args(words.split_whitespace())
            .current_dir(&self.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn jobs(&self, words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onelook"));
        let command = command.arg("jobs").args(words.split_whitespace());
        command.current_dir(&self.0).output().unwrap()
    }

    fn run(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    fn rows(&self, path: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.0.join(path)).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Rows of all part files that begin so, in the order of their names.
    fn part_rows(&self, directory: &str, start: &str) -> Vec<Value> {
        let names = names(&self.0.join(directory));
        let names = names.iter().filter(|name| name.starts_with(start));
        names
            .flat_map(|name| self.rows(&format!("{directory}/{name}")))
            .collect()
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn each_line_has_one_row_in_the_order_of_the_manifest() {
    let scratch = Scratch::new("rows", 20);
    let output = scratch.run("out=all.jsonl part_size=6 batch=4 json");
    // Two lines name no file: that is told, and fails the whole.
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert!(errors(&output).contains("2 of 20 images could not be used"));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["images"], &told["failed"]), (&20.into(), &2.into()));
    let rows = scratch.rows("all.jsonl");
    assert!(
        rows.iter()
            .map(|row| row["index"].as_u64().unwrap())
            .eq(0..20)
    );
    for (at, row) in rows.iter().enumerate() {
        let objects = row["detections"].as_array().unwrap().len();
        match at % 7 {
            6 => assert!(row["error"].as_str().unwrap().contains("none.png"), "{row}"),
            at => assert_eq!((row["width"] == 40, objects), (at % 2 == 0, 3), "{row}"),
        }
    }
    // Nothing is left but the file.
    assert_eq!(names(&scratch.0), ["all.jsonl", "images", "list.txt"]);
    let again = scratch.run("out=all.jsonl part_size=6");
    assert!(
        errors(&again).contains("'all.jsonl' exists"),
        "{}",
        errors(&again)
    );
    assert!(
        scratch
            .run("out=all.jsonl part_size=6 resume")
            .status
            .success()
    );
}

#[test]
fn shards_together_are_the_whole() {
    let scratch = Scratch::new("shards", 23);
    scratch.run("out=whole.jsonl");
    let mut rows = Vec::new();
    for shard in 0..3 {
        scratch.run(&format!(
            "out=parts out_format=jsonl shard={shard}/3 part_size=4"
        ));
        rows.extend(scratch.part_rows("parts", &format!("part-{shard:05}-of-00003")));
    }
    assert_eq!(rows, scratch.rows("whole.jsonl"));
    let output = scratch.run("out=whole.jsonl shard=3/3");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors(&output).contains("the last of 3 is 2/3"),
        "{}",
        errors(&output)
    );
}

#[test]
fn a_job_that_is_killed_goes_on_without_losing_or_doubling_a_row() {
    let scratch = Scratch::new("killed", 60);
    scratch.run("out=whole.jsonl part_size=5");
    let words = "out=parts out_format=jsonl part_size=5 resume";
    let mut parts = 0;
    while parts < 12 {
        let mut child = scratch
            .command(words)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let is_part = |name: &&String| name.starts_with("part-");
        let count = || match scratch.0.join("parts").is_dir() {
            true => names(&scratch.0.join("parts"))
                .iter()
                .filter(is_part)
                .count(),
            false => 0,
        };
        // At least one more part, so that this ends.
        while count() <= parts && child.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        parts = count();
    }
    let output = scratch.run(words);
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert!(errors(&output).contains("8 of 60 images could not be used"));
    assert_eq!(
        scratch.part_rows("parts", "part-"),
        scratch.rows("whole.jsonl")
    );
}

#[test]
fn what_was_not_written_whole_is_run_again() {
    let scratch = Scratch::new("torn", 20);
    scratch.run("out=whole.jsonl part_size=5");
    let words = "out=parts out_format=jsonl part_size=5 resume";
    scratch.run(words);
    let parts = scratch.0.join("parts");
    let journal = parts.join("_onelook/00000-of-00001.parts.jsonl");
    let lines = fs::read_to_string(&journal).unwrap();
    // The last line is cut in the middle, another part has lost its file.
    fs::write(&journal, &lines[..lines.len() - 9]).unwrap();
    fs::remove_file(parts.join("part-00000-of-00001-000001.jsonl")).unwrap();
    let output = scratch.run(words);
    assert!(
        errors(&output).contains("going on behind 10 of 20"),
        "{}",
        errors(&output)
    );
    assert_eq!(
        scratch.part_rows("parts", "part-"),
        scratch.rows("whole.jsonl")
    );
    assert!(scratch.run(words).stdout.starts_with(b"20 images"));
}

#[test]
fn another_job_is_not_mixed_with_the_results_of_this_one() {
    let scratch = Scratch::new("other", 6);
    scratch.run("out=parts");
    let failed = |words: &str, expected: &str| {
        let output = scratch.run(words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(
            errors(&output).contains(expected),
            "{words}: {}",
            errors(&output)
        );
    };
    failed("out=parts", "pass --resume");
    failed(
        "out=parts conf=0.5 imgsz=96 resume",
        "(its conf, imgsz differ)",
    );
    if cfg!(not(feature = "parquet")) {
        failed("out=a.parquet", "feature parquet");
    }
    failed("out=list.txt", "expected a directory");
    failed("out=parts source=images", "cannot be used with");
    failed("out=a.jsonl out_format=parquet", "--out-format");
    failed("out=b part_size=0", "--part-size");
    let output = scratch.job("source=images detach").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors(&output).contains("--manifest"),
        "{}",
        errors(&output)
    );
    let output = Command::new(env!("CARGO_BIN_EXE_onelook"))
        .args(["predict", "manifest=list.txt"])
        .current_dir(&scratch.0)
        .output();
    assert!(errors(&output.unwrap()).contains("--out"));
}

#[test]
fn only_one_program_is_at_a_shard() {
    let scratch = Scratch::new("busy", 6);
    scratch.run("out=parts");
    let lock = File::open(scratch.0.join("parts/_onelook/00000-of-00001.lock")).unwrap();
    lock.try_lock().unwrap();
    let output = scratch.run("out=parts resume");
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("another onelook is at this shard"));
}

#[test]
fn a_manifest_names_images_and_nothing_else() {
    let scratch = Scratch::new("videos", 2);
    let failed = |text: &str, expected: &str| {
        fs::write(scratch.0.join("list.txt"), text).unwrap();
        let output = scratch.run(&format!("out=out-{}", text.len()));
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            errors(&output).contains(expected),
            "{text}: {}",
            errors(&output)
        );
    };
    failed("images/a.png\nclip.mp4\n", "'clip.mp4' is a video");
    failed(
        "rtsp://user:secret@camera/x\n",
        "is a video or a live stream",
    );
    failed("\n \n", "names no image");
    let output = scratch.run("out=secret");
    assert!(!errors(&output).contains("secret@"));
}

/// Waits for it: how long a loaded machine takes is not known.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("{what}: not within two minutes");
}

#[test]
fn a_job_in_the_background_is_listed_followed_and_cancelled() {
    let scratch = Scratch::new("background", 3000);
    let words = "out=all.jsonl part_size=20 resume detach";
    let output = scratch.run(words);
    assert!(output.status.success(), "{}", errors(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("onelook jobs follow all.jsonl"));
    let list = || {
        let output = scratch.jobs("list all.jsonl --json");
        assert!(output.status.success(), "{}", errors(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    wait_until("a part", || list()[0]["done"].as_u64() > Some(0));
    let state = &list()[0];
    assert_eq!(
        (&state["images"], &state["shards"]),
        (&3000.into(), &1.into()),
        "{state}"
    );
    if state["state"] == "running" {
        let output = scratch.jobs("cancel all.jsonl");
        assert!(output.status.success(), "{}", errors(&output));
        let follow = scratch.jobs("follow all.jsonl");
        assert!(
            errors(&follow).contains("--resume goes on"),
            "{}",
            errors(&follow)
        );
    }
    // Whether it was cancelled early or late, it goes on; what it said is kept.
    let done = list()[0]["done"].as_u64().unwrap();
    assert!(done > 0 && done % 20 == 0, "{done}");
    let log = scratch
        .0
        .join("all.jsonl.parts/_onelook/00000-of-00001.log");
    wait_until("the log", || {
        fs::read_to_string(&log).is_ok_and(|text| !text.is_empty())
    });
    scratch.run("out=all.jsonl part_size=20 resume");
    assert_eq!(scratch.rows("all.jsonl").len(), 3000);
    assert!(errors(&scratch.jobs("list all.jsonl")).contains("nothing of a job"));
}

#[test]
fn a_job_in_the_background_that_cannot_begin_says_why() {
    let scratch = Scratch::new("cannot", 3);
    let mut command = scratch.job("manifest=none.txt out=a.jsonl detach");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("none.txt"), "{}", errors(&output));
}

#[test]
fn each_image_that_comes_to_a_directory_has_its_row_once() {
    let scratch = Scratch::new("watch", 1);
    let inbox = scratch.0.join("inbox");
    fs::create_dir(&inbox).unwrap();
    let image = scratch.0.join("images/a.png");
    let rows = || match scratch.0.join("rows").is_dir() {
        true => scratch.part_rows("rows", "part-"),
        false => Vec::new(),
    };
    let words = "watch=inbox out=rows out_format=jsonl watch_every=0.02 resume";
    let run_until = |count: usize| {
        let mut child = scratch.job(words).spawn().unwrap();
        wait_until("rows", || rows().len() >= count);
        let signal = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status();
        assert!(signal.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
        let sources = rows()
            .into_iter()
            .map(|row| row["source"].as_str().unwrap().to_owned());
        let mut sources: Vec<String> = sources.collect();
        sources.sort();
        sources
    };
    fs::copy(&image, inbox.join("1.png")).unwrap();
    fs::write(inbox.join("2.jpg"), "no image").unwrap();
    fs::write(inbox.join("notes.txt"), "no image either").unwrap();
    assert_eq!(run_until(2), ["inbox/1.png", "inbox/2.jpg"]);
    let failed = rows().into_iter().filter(|row| row.get("error").is_some());
    assert_eq!(failed.count(), 1);
    // Those that were done are left alone; another image under an old name is a new one.
    fs::copy(&image, inbox.join("3.png")).unwrap();
    fs::copy(scratch.0.join("images/b[1].png"), inbox.join("1.png")).unwrap();
    assert_eq!(
        run_until(4),
        ["inbox/1.png", "inbox/1.png", "inbox/2.jpg", "inbox/3.png"]
    );
    let indices: Vec<u64> = rows()
        .iter()
        .map(|row| row["index"].as_u64().unwrap())
        .collect();
    assert_eq!(indices, [0, 1, 2, 3]);
    let refused = scratch.job("watch=absent out=other").output().unwrap();
    assert!(
        errors(&refused).contains("'absent'"),
        "{}",
        errors(&refused)
    );
    let refused = scratch.job("watch=inbox out=a.parquet").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
