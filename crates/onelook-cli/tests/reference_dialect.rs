//! Command lines of people who come from the Python reference.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::process::{Command, Output};

use test_support::ScratchDir;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/sample.jpg");

/// A directory that goes when the test ends.
struct Scratch(ScratchDir);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = ScratchDir::new(name);
        fs::copy(SAMPLE, path.join("a.jpg")).unwrap();
        Self(path)
    }

    fn run(&self, words: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_onelook"))
            .args(words.split_whitespace())
            .current_dir(&self.0)
            .env("ONELOOK_CUDA_DRIVER", "/nonexistent/libcuda.so.1")
            .output()
            .unwrap()
    }

    fn success(&self, words: &str) -> String {
        let output = self.run(words);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

#[test]
fn what_is_harmless_is_accepted() {
    let scratch = Scratch::new("harmless");
    let said = scratch.success(
        "task=detect mode=predict model=yolo11n.yaml source=a.jpg imgsz = 64 conf = 0.5 half=False \
         show=False augment=False vid_stride=1 stream_buffer=False retina_masks=False embed=None \
         visualize=False stream=False device= name=a/b",
    );
    assert!(said.starts_with("image 1/1 a.jpg: 64x"), "{said}");
    assert!(scratch.0.join("runs/detect/a/b/a.jpg").is_file());
    scratch.success("predict model=yolo11n.yaml source=a.jpg imgsz=64 name=a/b");
    assert!(scratch.0.join("runs/detect/a/b-2/a.jpg").is_file());
}

#[test]
fn switches_that_are_off_stay_off() {
    let scratch = Scratch::new("off");
    let words = "predict model=yolo11n.yaml source=a.jpg imgsz=64";
    for off in [
        "save=False verbose=False",
        "--save=false --verbose=false",
        "no_save no_verbose",
    ] {
        let said = scratch.success(&format!("{words} {off}"));
        assert!(!said.contains("image 1/1"), "{off}: {said}");
        assert!(!scratch.0.join("runs").exists(), "{off}");
    }
    // A threshold of 0 draws boxes even from random weights.
    let drawn = format!("{words} conf=0 max_det=5");
    let plain = "show_boxes=False show_labels=False show_conf=False";
    scratch.success(&format!("{drawn} name=boxes"));
    scratch.success(&format!("{drawn} name=plain {plain}"));
    scratch.success(&format!("{words} conf=1 name=empty"));
    let saved = |name: &str| fs::read(scratch.0.join(format!("runs/detect/{name}/a.jpg"))).unwrap();
    assert!(saved("plain") == saved("empty"), "something was drawn");
    assert!(saved("boxes") != saved("empty"), "nothing was drawn");
}

#[test]
fn what_cannot_be_had_says_what_to_use() {
    let scratch = Scratch::new("refused");
    for (words, word) in [
        ("predict source=a.jpg visualize=True", "onelook explain"),
        ("predict source=a.jpg --augment", "augment=true"),
        ("predict source=a.jpg vid_stride=0", "vid-stride"),
        ("val data=a.yaml epochs=3", "does not train"),
        ("train data=a.yaml", "does not train"),
        ("mode=export model=a.pt", "onelook convert"),
        ("predict source=a.jpg confg=0.3", "--conf"),
        (
            "predict source=a.jpg name=..",
            "name for the run's directory",
        ),
    ] {
        let output = scratch.run(&format!("{words} model=yolo11n.yaml"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words}: {said}");
        assert!(said.contains(word), "{words}: {said}");
        assert!(output.stdout.is_empty());
    }
    let output = scratch.run("predict source=a.jpg model=yolo11n.yaml half=True device=cpu");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("f16"), "{said}");
}
