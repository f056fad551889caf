//! What `onelook explain --device cuda:sm_90` says of a GPU that is not there.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use serde_json::Value;

fn explain(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_onelook"))
        .arg("explain")
        .args(words)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The launches' layers and kernels, and the totals' words: what stays when figures of kernels change.
fn skeleton(text: &str) -> String {
    let (launches, totals) = text.split_once("\n\n").unwrap();
    let launches = launches.lines().map(|line| {
        let columns: Vec<&str> = line.split("  ").filter(|part| !part.is_empty()).collect();
        let kernel = columns[2.min(columns.len() - 1)].trim();
        // Behind the last underscore is the fingerprint of its shape and tile.
        let kernel = kernel.rsplit_once('_').map_or(kernel, |(base, _)| base);
        format!("{} | {kernel}", columns[1].trim())
    });
    let figures = |c: char| c.is_ascii_digit() || c == '.';
    let totals = totals.lines().map(|line| {
        let words = line.split(' ').map(|word| match word.chars().all(figures) {
            true if !word.is_empty() => "#",
            _ => word,
        });
        words.collect::<Vec<_>>().join(" ")
    });
    let lines: Vec<String> = launches.chain([String::new()]).chain(totals).collect();
    lines.join("\n")
}

#[test]
fn a_plan_is_printed_on_a_machine_without_a_gpu() {
    let output = explain(&["model=yolo11n.yaml", "device=cuda:sm_90", "--no-graph"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("random"));
    insta::assert_snapshot!(skeleton(&stdout(&output)));
}

#[test]
fn a_plan_is_one_object_for_machines() {
    let words = [
        "model=yolo11n.yaml",
        "device=cuda:sm_80",
        "batch=2",
        "imgsz=320",
        "--json",
    ];
    let output = explain(&words);
    assert!(output.status.success(), "{}", stderr(&output));
    let plan: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(plan["device"], "cuda:sm_80");
    assert_eq!(plan["precision"], "f16");
    assert_eq!(plan["input"], serde_json::json!([2, 3, 320, 320]));
    assert_eq!(plan["totals"].as_array().unwrap().len(), 2);
    assert!(plan["constant_bytes"].as_u64().unwrap() > 5_000_000);
    let launches = plan["launches"].as_array().unwrap();
    assert!((60..=75).contains(&launches.len()));
    for (index, launch) in launches.iter().enumerate() {
        assert!(launch["kernel"].is_string() && launch["layers"].is_string());
        assert_eq!(launch["grid"].as_array().unwrap().len(), 3);
        for figure in ["threads", "registers", "blocks_per_multiprocessor", "bytes"] {
            assert!(launch[figure].as_u64().unwrap() > 0, "{figure} of {launch}");
        }
        let [floor, estimated] = ["floor_us", "estimated_us"].map(|f| launch[f].as_f64().unwrap());
        assert!(0.0 < floor && floor <= estimated, "{launch}");
        let after = launch["after"].as_array().unwrap();
        assert!(
            after
                .iter()
                .all(|before| before.as_u64().unwrap() < index as u64)
        );
    }
}

#[test]
fn only_explain_takes_a_kind_of_gpu() {
    let output = Command::new(env!("CARGO_BIN_EXE_onelook"))
        .args(["bench", "model=yolo11n.yaml", "device=cuda:sm_90"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("only `onelook explain`"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_kind_that_is_not_known_lists_those_that_are() {
    let output = explain(&["model=yolo11n.yaml", "device=cuda:sm_42"]);
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("sm_75, sm_80"),
        "{}",
        stderr(&output)
    );
}
