//! What people see without a model: help, errors, exit codes, machine-readable errors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::{Command, Output};

/// Runs the binary away from any terminal, cache and registry of the machine.
fn onelook(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_onelook"))
        .args(words)
        .env("COLUMNS", "100")
        .env("ONELOOK_MODELS", "/nonexistent/onelook-models")
        .env("ONELOOK_CUDA_DRIVER", "/nonexistent/libcuda.so.1")
        .env_remove("ONELOOK_REGISTRY")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_says_what_every_command_does() {
    insta::assert_snapshot!("help", stdout(&onelook(&["--help"])));
    insta::assert_snapshot!("help_predict", stdout(&onelook(&["predict", "--help"])));
}

#[test]
fn mistakes_are_named_and_exit_with_two() {
    let cases: [(&str, &[&str]); 9] = [
        ("unknown_command", &["detekt"]),
        ("unknown_key", &["predict", "source=a.jpg", "confg=0.3"]),
        ("missing_source", &["predict", "model=a.pt"]),
        ("bad_conf", &["predict", "source=a.jpg", "conf=1.5"]),
        ("bad_boolean", &["predict", "source=a.jpg", "rect=maybe"]),
        ("bad_size", &["predict", "source=a.jpg", "imgsz=0"]),
        ("bad_device", &["doctor", "device=tpu"]),
        ("no_threads", &["doctor", "threads=0"]),
        ("bad_precision", &["doctor", "quantize=4"]),
    ];
    for (name, words) in cases {
        let output = onelook(words);
        assert_eq!(output.status.code(), Some(2), "{name}: {}", stderr(&output));
        insta::assert_snapshot!(name, stderr(&output));
    }
}

#[test]
fn failures_are_named_and_exit_with_one() {
    let cases: [(&str, &[&str]); 6] = [
        (
            "absent_source",
            &["predict", "model=a.pt", "source=/nowhere/a.jpg"],
        ),
        ("absent_model", &["models", "show", "/nowhere/a.pt"]),
        ("unknown_model", &["models", "show", "resnet50"]),
        ("unknown_fetch", &["models", "fetch", "resnet50"]),
        ("unknown_architecture", &["bench", "model=yolo12x.yaml"]),
        (
            "absent_data",
            &["val", "data=/nowhere/a.json", "model=/nowhere/a.pt"],
        ),
    ];
    for (name, words) in cases {
        let output = onelook(words);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", stderr(&output));
        insta::assert_snapshot!(name, stderr(&output));
    }
}

/// Boxes of random weights must not be taken for a model's.
#[test]
fn an_architecture_runs_with_a_warning() {
    let words = ["explain", "model=yolo11n.yaml", "imgsz=64", "device=cpu"];
    let output = onelook(&words);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).starts_with("warning: the weights of 'yolo11n.yaml' are random"));
    assert!(stdout(&output).contains("model.23.cv3.2.2"));
    let output = onelook(&[&words[..], &["--json"]].concat());
    let warning: serde_json::Value = serde_json::from_str(stderr(&output).trim()).unwrap();
    assert!(warning["warning"].as_str().unwrap().contains("random"));
}

#[test]
fn errors_are_objects_for_machines() {
    for words in [
        &["models", "show", "resnet50", "--json"][..],
        &["predict", "--json", "source=a.jpg", "conf=7"],
        &["predict", "json=True", "source=/nowhere/a.jpg"],
    ] {
        let output = onelook(words);
        assert!(output.stdout.is_empty());
        let error: serde_json::Value = serde_json::from_str(stderr(&output).trim()).unwrap();
        assert!(error["error"]["kind"].is_string());
        assert!(!error["error"]["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn the_doctor_runs_a_sample_pass_and_prints_its_shape() {
    let output = onelook(&["doctor", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        report["sample"]["output"],
        serde_json::json!([1, 8, 16, 16])
    );
    assert!(report["devices"][0]["usable"].as_bool().unwrap());
}

#[test]
fn completions_and_the_manual_page_come_from_the_same_declarations() {
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&onelook(&["completions", shell]));
        assert!(script.contains("save-txt"), "{shell}");
    }
    let page = stdout(&onelook(&["man"]));
    assert!(page.contains("predict") && page.contains("agnostic"));
}

#[test]
fn models_are_listed_with_licence_and_sources() {
    let output = onelook(&["models", "list", "--json"]);
    let models: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let models = models.as_array().unwrap();
    assert!(models.iter().any(|model| model["name"] == "yolo11n"));
    assert!(models.iter().all(|model| model["licence"] == "AGPL-3.0"));
}
