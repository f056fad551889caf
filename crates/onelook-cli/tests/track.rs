//! `onelook track` over recorded detections: files in, lines out, mistakes by name.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::process::{Command, Output};

use test_support::ScratchDir;

/// A directory that goes when the test ends.
struct Scratch(ScratchDir);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(ScratchDir::new(name))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn run(&self, words: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_onelook"))
            .args(words.split_whitespace())
            .current_dir(&self.0)
            .output()
            .unwrap()
    }

    fn lines(&self, words: &str) -> Vec<String> {
        let output = self.run(words);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words}: {errors}");
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn refusal(&self, words: &str) -> String {
        let output = self.run(words);
        assert!(!output.status.success(), "{words}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// One object that moves to the right over ten frames, unseen on the fifth.
fn moving() -> String {
    let frames = (1..=10).filter(|&frame| frame != 5);
    let line = |frame: i32| format!("{frame},-1,{},20,30,60,0.9,-1,-1,-1\n", 10 + 3 * frame);
    frames.map(line).collect()
}

#[test]
fn every_tracker_follows_an_object_over_a_gap() {
    let scratch = Scratch::new("gap");
    scratch.write("det.txt", &moving());
    for tracker in ["default", "bytetrack", "botsort", "ocsort", "tracktrack"] {
        let lines = scratch.lines(&format!("track detections=det.txt tracker={tracker}"));
        assert_eq!(lines.len(), 9, "{tracker}: {lines:?}");
        assert!(
            lines.iter().all(|line| line.split(',').nth(1) == Some("1")),
            "{tracker}"
        );
    }
}

#[test]
fn tracks_are_saved_and_summed_up() {
    let scratch = Scratch::new("saved");
    scratch.write("det.txt", &moving());
    scratch.write("seqinfo.ini", "[Sequence]\nframeRate=10\nseqLength=12\n");
    let printed = scratch.lines("track --detections det.txt --tracker bytetrack");
    let said = scratch.lines("track --detections det.txt --tracker bytetrack --mot out.txt --json");
    let report: serde_json::Value = serde_json::from_str(&said[0]).unwrap();
    assert_eq!(
        (&report["tracks"], &report["boxes"], &report["frames"]),
        (&1.into(), &9.into(), &12.into())
    );
    let saved = fs::read_to_string(scratch.0.join("out.txt")).unwrap();
    assert_eq!(saved.lines().collect::<Vec<_>>(), printed);
    assert_eq!(printed[0], "1,1,13.00,20.00,30.00,60.00,0.9000,-1,-1,-1");
}

#[test]
fn times_take_the_place_of_a_frame_rate() {
    let scratch = Scratch::new("times");
    scratch.write("det.txt", &moving());
    let times = |step: u32| {
        (0..10)
            .map(|frame| format!("{}\n", frame * step))
            .collect::<String>()
    };
    scratch.write("slow.txt", &times(3));
    // An object that is not seen for longer than the buffer is another one.
    let ids = |words: &str| {
        let lines = scratch.lines(words);
        let id = |line: &String| line.split(',').nth(1).unwrap().to_owned();
        lines
            .iter()
            .map(id)
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    assert_eq!(ids("track detections=det.txt"), 1);
    assert_eq!(ids("track detections=det.txt times=slow.txt"), 2);
}

#[test]
fn the_references_settings_are_read() {
    let scratch = Scratch::new("yaml");
    scratch.write("det.txt", &moving());
    scratch.write(
        "mine.yaml",
        "tracker_type: bytetrack\ntrack_buffer: 0\nfuse_score: True\n",
    );
    assert_eq!(
        scratch
            .lines("track detections=det.txt tracker=mine.yaml")
            .len(),
        9
    );
    scratch.write("reid.yaml", "tracker_type: botsort\nwith_reid: True\n");
    let said = scratch.refusal("track detections=det.txt tracker=reid.yaml");
    assert!(
        said.contains("reid.yaml") && said.contains("with_reid"),
        "{said}"
    );
}

#[test]
fn mistakes_are_named() {
    let scratch = Scratch::new("mistakes");
    scratch.write("det.txt", &moving());
    scratch.write("bad.txt", "1,-1,1,2,3,4,0.5\n1,-1,x,2,3,4,0.5\n");
    scratch.write("back.txt", "1\n0.5\n");
    for (words, expected) in [
        (
            "track detections=bad.txt",
            &["bad.txt", "line 2", "'x'"][..],
        ),
        ("track detections=absent.txt", &["absent.txt"]),
        (
            "track detections=det.txt tracker=sort",
            &["'sort'", "bytetrack"],
        ),
        (
            "track detections=det.txt frames=4",
            &["frame 10", "4 frames"],
        ),
        (
            "track detections=det.txt times=back.txt",
            &["back.txt", "line 2"],
        ),
        (
            "track detections=det.txt frame_rate=0",
            &["frames per second"],
        ),
        ("track", &["--detections"]),
    ] {
        let said = scratch.refusal(words);
        assert!(
            expected.iter().all(|word| said.contains(word)),
            "{words}: {said}"
        );
    }
}
