//! `onelook val` on data sets with odd rows, odd descriptions and names that would steer a terminal.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/sample.jpg");

/// A data set of its own, which goes when the test ends.
struct Set(PathBuf);

impl Set {
    /// With an image for each label file.
    fn new(name: &str, labels: &[&str]) -> Self {
        let name = format!("onelook-sets-{name}-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("images")).unwrap();
        fs::create_dir_all(root.join("labels")).unwrap();
        for (index, text) in labels.iter().enumerate() {
            fs::copy(SAMPLE, root.join(format!("images/{index}.jpg"))).unwrap();
            fs::write(root.join(format!("labels/{index}.txt")), text).unwrap();
        }
        Self(root)
    }

    fn described(&self, yaml: &str) -> &Self {
        fs::write(self.0.join("set.yaml"), yaml).unwrap();
        self
    }

    fn val(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_onelook"))
            .args([
                "val",
                "model=yolo11n.yaml",
                "imgsz=64",
                "device=cpu",
                "save=False",
            ])
            .args(words)
            .current_dir(&self.0)
            .env("ONELOOK_CUDA_DRIVER", "/nonexistent/libcuda.so.1")
            .output()
            .unwrap()
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn odd_rows_cost_their_images_and_the_figures_are_printed() {
    let good = "0 0.5 0.5 0.2 0.2\n";
    let odd = [
        good,
        "0.0 0.5 0.5 0.2 0.2\n1 .1 .1 .2 .2\n",
        "1 .1 .1 .5 .1 .5 .6\n",
        &format!("{good}0 1.5 0.5 0.2 0.2\n"),
        &format!("{good}{good}0 -0.5 0.5 0.2 0.2\n"),
        "0 NaN 0.5 0.2 0.2\n",
        "0 0.5 0.5 0.2\n",
        "cat 0.5 0.5 0.2 0.2\n",
        &format!("{good}99 0.5 0.5 0.2 0.2\n"),
    ];
    let set = Set::new("odd", &odd);
    let output = set
        .described("val: images\nnc: 80\n")
        .val(&["data=set.yaml", "--json"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["images"], 3);
    assert_eq!(report["instances"], 4);
    for (index, line) in [(3, 2), (4, 3), (5, 1), (6, 1), (7, 1), (8, 2)] {
        let named = said.lines().any(|text| {
            text.contains(&format!("{index}.txt")) && text.contains(&format!("line {line}: "))
        });
        assert!(named, "{index}.txt, line {line}: {said}");
    }
    assert!(
        said.contains("class 99 is not one of the 80 classes"),
        "{said}"
    );
    assert!(said.contains("6 of 9 images could not be used"), "{said}");
}

#[test]
fn a_set_of_nothing_but_odd_rows_is_a_failure_without_figures() {
    let set = Set::new("none", &["x\n"]);
    let output = set
        .described("val: images\nnc: 80\n")
        .val(&["data=set.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("1 of 1 images could not be used"));
    assert!(output.stdout.is_empty());
}

#[test]
fn descriptions_say_which_split_and_which_classes() {
    let set = Set::new("yaml", &["1 0.5 0.5 0.2 0.2\n"]);
    for (yaml, words) in [
        ("val: images\nnames: {'0': cat, '1': dog}\n", &[][..]),
        ("val: images\nnc: 2\n", &[]),
        ("train: images\nnc: 2\n", &["split=train"]),
        ("val: nowhere\ntest: images\nnc: 2\n", &["--split", "test"]),
        ("validation: images\nnc: 2\n", &["split=val"]),
    ] {
        let output = set
            .described(yaml)
            .val(&[&["data=set.yaml"], words].concat());
        assert!(output.status.success(), "{yaml}: {}", stderr(&output));
    }
    for (yaml, words, word) in [
        ("train: images\nnc: 2\n", &[][..], "no 'val:'"),
        ("val: images\nnc: 2\n", &["split=test"], "no 'test:'"),
        ("val: images\n", &[], "'names'"),
        ("val: images\nnc: 3\nnames: [a, b]\n", &[], "'nc' says 3"),
        (
            "version https://git-lfs.github.com/spec/v1\noid x\n",
            &[],
            "git lfs pull",
        ),
    ] {
        let output = set
            .described(yaml)
            .val(&[&["data=set.yaml"], words].concat());
        assert_eq!(output.status.code(), Some(1), "{yaml}");
        assert!(
            stderr(&output).contains(word),
            "{yaml}: {}",
            stderr(&output)
        );
    }
    let output = set.val(&["data=set.yaml", "split=valid"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn names_never_steer_a_terminal() {
    let set = Set::new("names", &["0 0.5 0.5 0.2 0.2\n"]);
    fs::copy(SAMPLE, set.0.join("images/\x1b[2Jx\n.jpg")).unwrap();
    fs::write(set.0.join("labels/\x1b[2Jx\n.txt"), "word\n").unwrap();
    fs::create_dir(set.0.join("odd")).unwrap();
    fs::write(set.0.join("odd/\x1b[31m\nno.jpg"), "no image").unwrap();
    fs::copy(SAMPLE, set.0.join("odd/\x1b[31m\nyes.jpg")).unwrap();
    let yaml = "val: images\nnames: [\"\\e[31mcat\\n\"]\n";
    let val = set.described(yaml).val(&["data=set.yaml"]);
    let predict = |words: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_onelook"))
            .args(words)
            .current_dir(&set.0)
            .env("ONELOOK_MODELS", "/nonexistent/onelook-models")
            .output()
            .unwrap()
    };
    let small = [
        "predict",
        "model=yolo11n.yaml",
        "imgsz=64",
        "device=cpu",
        "source=odd",
    ];
    let outputs = [
        val,
        predict(&small),
        predict(&["predict", "model=\x1b[31m\nx.pt", "source=odd"]),
        predict(&["models", "show", "\x1b[31m\nx"]),
        predict(&["predict", "source=\x1b[31mno"]),
        predict(&["predict", "\x1b[31mx.jpg"]),
        predict(&["convert", "model=yolo11n.yaml", "out=\x1b[31m.safetensors"]),
    ];
    for output in outputs {
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let steers = |letter: char| letter.is_control() && letter != '\n';
        assert!(!text.contains(steers), "{text:?}");
        assert!(
            !text.contains("\nyes.jpg") && !text.contains("\nno.jpg"),
            "{text:?}"
        );
    }
}
