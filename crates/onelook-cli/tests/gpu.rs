//! What people see with a driver, without one, and with one that has its troubles. No GPU is
//! needed: the driver is one that the test builds.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../onelook-cuda/tests/fake_driver/fake.rs"]
mod fake;
#[path = "gpu/linked.rs"]
mod linked;

use std::path::Path;
use std::process::{Command, Output};

use fake::{Fake, H100};

const NOWHERE: &str = "/nonexistent/libcuda.so.1";

/// Runs the binary with this file as the driver, away from the machine's caches.
fn onelook(driver: &Path, words: &[&str]) -> Output {
    let kernels = driver.with_file_name("kernels");
    Command::new(env!("CARGO_BIN_EXE_onelook"))
        .args(words)
        .env("ONELOOK_CUDA_DRIVER", driver)
        .env("ONELOOK_KERNELS", kernels)
        .env("ONELOOK_MODELS", "/nonexistent/onelook-models")
        .output()
        .unwrap()
}

/// What it says when it succeeds.
fn success(driver: &Path, words: &[&str]) -> String {
    let output = onelook(driver, words);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What `doctor` says of a fake GPU: everything works, but what comes out is not what was asked for.
fn all_but_right(driver: &Path, words: &[&str]) -> String {
    let output = onelook(driver, words);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words:?}: {errors}");
    assert!(errors.contains("computes wrongly"), "{words:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it says when it fails, which must not be a crash.
fn failure(driver: &Path, words: &[&str]) -> String {
    let output = onelook(driver, words);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words:?}: {errors}");
    errors
}

#[test]
fn without_a_driver_auto_takes_the_cpu_and_says_why() {
    let text = success(Path::new(NOWHERE), &["doctor"]);
    assert!(text.contains("chosen    cpu"), "{text}");
    assert!(
        text.contains("because   auto: the CPU, because no NVIDIA driver was found"),
        "{text}"
    );
}

#[test]
fn without_a_driver_a_gpu_is_an_error_that_says_what_to_do() {
    for word in ["cuda", "0", "0,1", "cuda:0", "-1"] {
        let text = failure(Path::new(NOWHERE), &["doctor", "--device", word]);
        for part in [
            "no NVIDIA driver was found",
            NOWHERE,
            "--gpus all",
            "--device cpu",
        ] {
            assert!(text.contains(part), "{word}: {text}");
        }
    }
}

#[test]
fn with_a_gpu_the_doctor_lists_it_and_tries_it() {
    let fake = Fake::new(&[H100, "device Tesla K80|3.7|12000000000"]);
    let text = all_but_right(&fake.path(), &["doctor", "device=0", "quantize=16"]);
    let gpu = "[ok] NVIDIA H100 80GB HBM3 (cuda:0, 80.0 GiB, compute capability 9.0, 132 multi";
    assert!(text.contains(gpu), "{text}");
    assert!(
        text.contains("[no] Tesla K80 (Tesla K80 has compute capability 3.7"),
        "{text}"
    );
    assert!(
        text.contains("chosen    cuda:0, NVIDIA H100 80GB HBM3"),
        "{text}"
    );
    assert!(
        text.contains("cuda:0 (NVIDIA H100 80GB HBM3), as asked"),
        "{text}"
    );
    assert!(text.contains("1x8x16x16 out"), "{text}");
    assert_eq!(fake.count("cuGraphLaunch"), 1);
    assert_eq!(fake.leaks(), [""; 0]);
    let links = fake.count("cuLinkCreate_v2");
    all_but_right(&fake.path(), &["doctor", "device=0", "quantize=16"]);
    assert_eq!(
        fake.count("cuLinkCreate_v2"),
        links,
        "the second start compiles nothing"
    );
}

#[test]
fn auto_leaves_a_gpu_asleep_and_says_how_to_have_it() {
    let fake = Fake::new(&[H100]);
    let text = success(&fake.path(), &["doctor"]);
    assert!(text.contains("--device 0 takes the first GPU"), "{text}");
    assert_eq!(fake.count("cuDevicePrimaryCtxRetain"), 0);
}

#[test]
fn the_gpu_with_the_most_free_memory_is_the_idlest() {
    let small = "device NVIDIA L4|8.9|24000000000";
    let fake = Fake::new(&[small, H100, small]);
    let text = all_but_right(&fake.path(), &["doctor", "--device=-1"]);
    assert!(text.contains("chosen    cuda:1, NVIDIA H100"), "{text}");
    assert!(
        text.contains("of 3 the one with the most free memory"),
        "{text}"
    );
}

#[test]
fn a_number_too_high_an_old_gpu_and_several_are_refused() {
    let fake = Fake::new(&[H100, "device Tesla K80|3.7|12000000000"]);
    let cases = [
        (
            "7",
            "device 'cuda:7': there is no GPU 7: there are 2, numbered from 0",
        ),
        ("1", "Tesla K80 has compute capability 3.7, at least 7.5"),
        ("0,1", "several GPUs at a time are not available yet"),
        ("0,7", "there is no GPU 7"),
    ];
    for (word, part) in cases {
        let text = failure(&fake.path(), &["doctor", "--device", word]);
        assert!(text.contains(part), "{word}: {text}");
    }
}

#[test]
fn a_limit_on_memory_is_kept() {
    let fake = Fake::new(&[H100]);
    let text = failure(&fake.path(), &["doctor", "device=0", "gpu_memory=2KiB"]);
    assert!(text.contains("2048 bytes allowed (--gpu-memory)"), "{text}");
    all_but_right(&fake.path(), &["doctor", "device=0", "gpu_memory=64MiB"]);
    let wrong = onelook(&fake.path(), &["doctor", "--gpu-memory", "plenty"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn an_old_driver_and_a_hidden_gpu_are_told_as_such() {
    let old = Fake::new(&["version 11040", H100]);
    let text = failure(&old.path(), &["doctor", "device=0"]);
    assert!(
        text.contains("it knows CUDA 11.4, CUDA 12.0 is needed"),
        "{text}"
    );
    let text = success(&old.path(), &["doctor"]);
    assert!(
        text.contains("the CPU, because the NVIDIA driver knows CUDA 11.4"),
        "{text}"
    );
    let hidden = Fake::new(&["fail cuInit * 100"]);
    let text = failure(&hidden.path(), &["doctor", "device=0"]);
    assert!(text.contains("CUDA_VISIBLE_DEVICES"), "{text}");
}

#[test]
fn a_driver_that_refuses_a_kernel_is_quoted() {
    let script = [
        H100,
        "jit_log line 3; error: unknown instruction",
        "fail cuLinkAddData_v2 * 218",
        "fail cuModuleLoadDataEx * 218",
    ];
    let fake = Fake::new(&script);
    let text = failure(&fake.path(), &["doctor", "device=0"]);
    assert!(text.contains("did not compile the kernel"), "{text}");
    assert!(
        text.contains("line 3; error: unknown instruction"),
        "{text}"
    );
}

#[test]
fn a_kernel_that_crashes_is_an_error_not_a_result() {
    let fake = Fake::new(&[H100, "fail cuStreamSynchronize 1 700"]);
    let text = failure(&fake.path(), &["doctor", "device=0"]);
    assert!(text.contains("CUDA_ERROR_ILLEGAL_ADDRESS (700)"), "{text}");
}

#[test]
fn kernels_that_cannot_be_kept_are_told_before_they_are_compiled() {
    let fake = Fake::new(&[H100]);
    std::fs::write(fake.folder().join("kernels"), "no folder").unwrap();
    let text = all_but_right(&fake.path(), &["doctor", "device=0"]);
    assert_eq!(
        text.matches("compiled kernels cannot be kept in").count(),
        1,
        "{text}"
    );
    let predict = [
        "predict",
        "device=0",
        "model=yolo11n.yaml",
        "source=../../assets/sample.jpg",
        "save=false",
        "gpu_memory=2KiB",
    ];
    let text = failure(&fake.path(), &predict);
    assert_eq!(
        text.matches("compiled kernels cannot be kept in").count(),
        1,
        "{text}"
    );
}

#[test]
fn gpu_check_refuses_what_it_cannot_check() {
    let fake = Fake::new(&[H100]);
    let cases = [
        (
            &["gpu-check", "device=cpu", "model=yolo11n.yaml"][..],
            "is for an NVIDIA GPU",
        ),
        (
            &["gpu-check", "device=0,1", "model=yolo11n.yaml"],
            "one GPU at a time",
        ),
        (
            &["gpu-check", "device=3", "model=yolo11n.yaml"],
            "there is no GPU 3",
        ),
        (
            &[
                "gpu-check",
                "device=0",
                "model=yolo11n.yaml",
                "source=/nonexistent/one.jpg",
            ],
            "/nonexistent/one.jpg",
        ),
    ];
    for (words, part) in cases {
        let text = failure(&fake.path(), words);
        assert!(text.contains(part), "{words:?}: {text}");
    }
}

#[test]
#[ignore = "a minute: all kernels of a network in the interpreter"]
fn gpu_check_goes_through_all_its_steps_and_is_not_fooled_by_a_gpu_that_does_nothing() {
    let fake = Fake::with_edges(&[H100]);
    let report = fake.folder().join("report.json");
    let file = report.to_str().unwrap();
    let words = [
        "gpu-check",
        "device=0",
        "model=yolo11n.yaml",
        "--report",
        file,
    ];
    let output = onelook(&fake.path(), &words);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "WRONG  f16: on 1 images",
        "the GPU wrote no list of boxes",
        "batch 32, images to boxes: 75 launches",
        "dependent launch",
        "early edges; ok     equal bits in all of 10 runs",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(
        report["failures"].as_array().unwrap().len(),
        0,
        "{report:#}"
    );
    // In halves and in floats on the image, in halves on 8 and 32 of it.
    assert_eq!(report["boxes"].as_array().unwrap().len(), 4);
    assert_eq!(report["times"][2]["graphs"].as_array().unwrap().len(), 2);
    assert_eq!(fake.leaks(), [""; 0]);
}
