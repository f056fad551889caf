//! `onelook count` over recorded tracks: totals, events, modes, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use test_support::{ScratchDir, data_file};

/// A directory that goes when the test ends.
struct Scratch(ScratchDir);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(ScratchDir::new(name))
    }

    /// A box of 40 by 100 that walks to the right along y 300, from x 60, 4 pixels a frame.
    fn with_walk(self) -> Self {
        let row = |frame: usize| {
            format!(
                "{},5,{},200,40,100,0.9,-1,-1,-1\n",
                frame + 1,
                40 + 4 * frame
            )
        };
        fs::write(
            self.0.join("walk.txt"),
            (0..60).map(row).collect::<String>(),
        )
        .unwrap();
        let info = "[Sequence]\nframeRate=20\nseqLength=100\nimWidth=400\nimHeight=400\n";
        fs::write(self.0.join("seqinfo.ini"), info).unwrap();
        self
    }

    fn count(&self, words: &[&str]) -> Output {
        count(&self.0, words)
    }
}

fn count(directory: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_onelook"))
        .arg("count")
        .args(words)
        .current_dir(directory)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_walk_is_counted_and_its_events_are_written() {
    let scratch = Scratch::new("walk").with_walk();
    let words = [
        "--tracks",
        "walk.txt",
        "--line",
        "gate=100,400,100,0",
        "zone=hall=150,250,250,250,250,350,150,350",
        "--events",
        "events.jsonl",
    ];
    let lines = stdout(&scratch.count(&words));
    assert!(
        lines.contains("line gate: 0 in, 1 out, by 1 tracks"),
        "{lines}"
    );
    assert!(
        lines.contains("zone hall: 1 entered, 0 born inside, 1 left"),
        "{lines}"
    );
    assert!(
        lines.contains("100 frames at 20 fps, 5.0 s, 1 tracks"),
        "{lines}"
    );
    let events = fs::read_to_string(scratch.0.join("events.jsonl")).unwrap();
    let events: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<(&Value, &Value, &Value)> = events
        .iter()
        .map(|event| (&event["event"], &event["place"], &event["frame"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("crossed"), &json!("gate"), &json!(13)),
            (&json!("entered"), &json!("hall"), &json!(28)),
            (&json!("left"), &json!("hall"), &json!(69)),
        ]
    );
    assert_eq!(events[0]["direction"], "out");
    assert_eq!(events[0]["box"], json!([88.0, 200.0, 128.0, 300.0]));

    let words = [&words[..], &["--json"]].concat();
    let totals: Value = serde_json::from_str(&stdout(&scratch.count(&words))).unwrap();
    assert_eq!(totals["lines"][0]["out_by_class"], json!({"0": 1}));
    assert_eq!(totals["zones"][0]["entered"], 1);
    assert_eq!(totals["frame_rate"], 20.0);
}

#[test]
fn fractions_and_modes_are_what_they_say() {
    let scratch = Scratch::new("modes").with_walk();
    let gate = "--line=gate=0.25,1,0.25,0";
    let with = |words: &[&str]| {
        let all = [
            &["--tracks=walk.txt", gate, "--coordinates=fractions"],
            words,
        ]
        .concat();
        stdout(&scratch.count(&all))
    };
    assert!(with(&[]).contains("0 in, 1 out"));
    assert!(with(&["--mode=supervision"]).contains("0 in, 1 out"));
    // There, in is rightwards.
    assert!(with(&["--mode=ultralytics"]).contains("1 in, 0 out"));
    assert!(with(&["--conf=0.95"]).contains("0 in, 0 out"));
}

#[test]
fn results_without_confidences_count_and_what_conf_leaves_out_is_told() {
    let scratch = Scratch::new("unsure").with_walk();
    let path = scratch.0.join("walk.txt");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(",0.9,", ",-1,")).unwrap();
    let words = ["--tracks=walk.txt", "--line=gate=100,400,100,0"];
    assert!(stdout(&scratch.count(&words)).contains("0 in, 1 out"));
    let output = scratch.count(&[&words[..], &["--conf=0.5"]].concat());
    assert!(stdout(&output).contains("0 in, 0 out"));
    let told = "60 boxes have a confidence below --conf 0.5";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let scratch = Scratch::new("refused").with_walk();
    fs::write(
        scratch.0.join("broken.txt"),
        "1,1,0,0,1,1,1\n1,x,0,0,1,1,1\n",
    )
    .unwrap();
    fs::write(scratch.0.join("binary.txt"), [0xff, 0xfe, 0x00]).unwrap();
    let gate = "--line=gate=100,400,100,0";
    let cases: [(&[&str], i32, &str); 9] = [
        (&["--tracks=walk.txt"], 2, "nothing to count"),
        (&["--tracks=walk.txt", "--line=gate=1,2,3"], 2, "two points"),
        (
            &["--tracks=walk.txt", "--line=gate=1,2,1,2"],
            2,
            "'gate' has no length",
        ),
        (
            &["--tracks=walk.txt", "--line=gate=1,2,1,500"],
            2,
            "outside of the image",
        ),
        (
            &["--tracks=walk.txt", "--zone=a=0,0,9,9,9,0,0,9"],
            2,
            "crosses itself",
        ),
        (
            &["--tracks=walk.txt", gate, "--anchor=feet"],
            2,
            "bottom-centre",
        ),
        (
            &["--tracks=broken.txt", gate],
            1,
            "'broken.txt': line 2: 'x' is not a number",
        ),
        (&["--tracks=binary.txt", gate], 1, "it is not text"),
        (&["--tracks=absent.txt", gate], 1, "'absent.txt'"),
    ];
    for (words, code, reason) in cases {
        let output = scratch.count(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    }
}

#[test]
fn the_line_of_the_pets_video_has_two_in_and_seven_out() {
    let Some(folder) = data_file("tracking/reference/pets09-yolo11n-300") else {
        return;
    };
    let words = [
        "--tracks=ultralytics-bytetrack.txt",
        "--line=line=345,138,345,322",
        "--frame-rate=7",
    ];
    let lines = stdout(&count(&folder, &words));
    assert!(lines.contains("line line: 2 in, 7 out"), "{lines}");
}
