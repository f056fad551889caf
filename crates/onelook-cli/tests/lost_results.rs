//! Results that cannot be written are failures, for every command and every file; a reader that goes
//! away is none.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use test_support::ScratchDir;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/sample.jpg");

/// A network of its own architecture with random weights: it needs no file.
const MODEL: &str = "model=yolo11n.yaml";

/// A directory that goes when the test ends.
struct Scratch(ScratchDir);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = ScratchDir::new(name);
        fs::create_dir_all(path.join("images")).unwrap();
        fs::create_dir_all(path.join("labels")).unwrap();
        fs::copy(SAMPLE, path.join("images/a.jpg")).unwrap();
        fs::write(path.join("labels/a.txt"), "0 0.5 0.5 0.2 0.2\n").unwrap();
        fs::write(path.join("set.yaml"), "val: images\nnc: 80\n").unwrap();
        Self(path)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onelook"));
        command
            .args(words)
            .current_dir(&self.0)
            .env("COLUMNS", "100")
            .env("ONELOOK_MODELS", "/nonexistent/onelook-models")
            .env("ONELOOK_CUDA_DRIVER", "/nonexistent/libcuda.so.1")
            .env_remove("ONELOOK_REGISTRY");
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every command that prints, in each form of its output.
fn printing() -> Vec<Vec<&'static str>> {
    let small = [MODEL, "imgsz=64", "device=cpu"];
    let with = |command: &'static str, more: &[&'static str]| -> Vec<&'static str> {
        [&[command][..], &small, more].concat()
    };
    let mut commands = vec![
        vec!["--help"],
        vec!["--version"],
        vec!["help", "val"],
        vec!["predict", "--help"],
        vec!["models", "list"],
        vec!["models", "show", "yolo11n"],
        vec!["models", "show", "yolo11n.yaml"],
        vec!["doctor"],
        with("predict", &["source=images", "save=False"]),
        with("val", &["data=set.yaml", "save=False"]),
        with("val", &["data=set.yaml", "save=False", "verbose=False"]),
        with("verify", &["source=images", "against=cpu"]),
        with("explain", &[]),
        with("explain", &["device=cuda:sm_90", "graph=False"]),
        with("bench", &["runs=1", "warmup=0"]),
    ];
    let json: Vec<_> = commands[4..]
        .iter()
        .map(|words| [&words[..], &["--json"]].concat())
        .collect();
    commands.extend(json);
    commands.extend([vec!["man"], vec!["completions", "bash"]]);
    commands
}

#[test]
fn a_full_standard_output_fails_every_command_that_prints() {
    let scratch = Scratch::new("full");
    for words in printing() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = scratch.command(&words).stdout(full).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(
            said.contains("No space left on device"),
            "{words:?}: {said}"
        );
    }
}

#[test]
fn a_server_whose_first_line_is_lost_does_not_start() {
    let scratch = Scratch::new("serve");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let words = ["serve", MODEL, "device=cpu", "port=0", "grpc_port=none"];
    let output = scratch.command(&words).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("No space left on device"));
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let scratch = Scratch::new("gone");
    for words in printing() {
        let mut child = scratch
            .command(&words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{words:?}: {}",
            stderr(&output)
        );
        assert!(
            !stderr(&output).contains("error"),
            "{words:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn what_is_saved_is_saved_though_the_reader_went_away() {
    let scratch = Scratch::new("saved");
    let val = [
        "val",
        MODEL,
        "imgsz=64",
        "device=cpu",
        "data=set.yaml",
        "save_json",
    ];
    let verify = [
        "verify",
        MODEL,
        "imgsz=64",
        "source=images",
        "against=cpu",
        "html=page.html",
    ];
    let cases: [(&[&str], &[&str]); 2] = [
        (
            &val,
            &[
                "runs/detect/val/predictions.json",
                "runs/detect/val/confusion_matrix.svg",
            ],
        ),
        (&verify, &["page.html"]),
    ];
    for (words, files) in cases {
        let mut child = scratch
            .command(words)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        assert!(child.wait().unwrap().success(), "{words:?}");
        for file in files {
            let bytes = fs::metadata(scratch.0.join(file)).unwrap().len();
            assert!(bytes > 2, "{file} is empty");
        }
    }
}

#[test]
fn files_on_a_full_disk_are_named() {
    let scratch = Scratch::new("disk");
    let full = |file: &str| {
        let path = scratch.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        symlink("/dev/full", &path).unwrap();
    };
    let val = [
        "val",
        MODEL,
        "imgsz=64",
        "device=cpu",
        "data=set.yaml",
        "save_json",
        "exist_ok",
    ];
    let verify = [
        "verify",
        MODEL,
        "imgsz=64",
        "source=images",
        "against=cpu",
        "html=page.html",
    ];
    let convert = ["convert", MODEL, "out=a.safetensors", "force"];
    let cases: [(&[&str], &str); 5] = [
        (&val, "runs/detect/val/predictions.json"),
        (&val, "runs/detect/val/precision_recall.svg"),
        (&val, "runs/detect/val/confusion_matrix.svg"),
        (&verify, "page.html"),
        (&convert, "a.safetensors"),
    ];
    for (words, file) in cases {
        full(file);
        let output = scratch.run(words);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{file}: {said}");
        assert!(said.contains("No space left on device"), "{file}: {said}");
        assert!(
            said.contains(Path::new(file).file_name().unwrap().to_str().unwrap()),
            "{said}"
        );
        fs::remove_file(scratch.0.join(file)).unwrap();
    }
}

#[test]
fn help_is_whole_where_it_is_read() {
    let scratch = Scratch::new("help");
    let mut child = scratch
        .command(&["predict", "--help"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert!(text.contains("--max-pixels"));
}
