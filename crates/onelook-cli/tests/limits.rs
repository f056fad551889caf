//! Limits on what is read name the flag that raises them, and files that are none say so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::process::{Command, Output};

use test_support::ScratchDir;

const LFS_POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n";

struct Scratch(ScratchDir);

impl Scratch {
    /// With `a.bmp`, whose header claims 200 megapixels.
    fn new(name: &str) -> Self {
        let path = ScratchDir::new(name);
        let mut bitmap = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        bitmap.extend(20_000u32.to_le_bytes());
        bitmap.extend(10_000u32.to_le_bytes());
        bitmap.extend(b"\x01\0\x18\0");
        bitmap.resize(54, 0);
        fs::write(path.join("a.bmp"), bitmap).unwrap();
        fs::write(path.join("set.yaml"), "val: a.bmp\nnc: 80\n").unwrap();
        Self(path)
    }

    fn failure(&self, words: &str) -> String {
        let output: Output = Command::new(env!("CARGO_BIN_EXE_onelook"))
            .args(words.split_whitespace())
            .args(["device=cpu"])
            .current_dir(&self.0)
            .env("ONELOOK_CUDA_DRIVER", "/nonexistent/libcuda.so.1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words}: {said}");
        said
    }
}

#[test]
fn an_image_over_a_limit_names_the_flag_that_raises_it() {
    let scratch = Scratch::new("image");
    for (command, flag) in [
        (
            "predict model=yolo11n.yaml imgsz=64 save=False source=a.bmp",
            "--max-pixels",
        ),
        (
            "val model=yolo11n.yaml imgsz=64 save=False data=set.yaml",
            "--max-pixels",
        ),
        (
            "verify model=yolo11n.yaml imgsz=64 source=a.bmp",
            "--max-image-pixels",
        ),
    ] {
        let said = scratch.failure(command);
        assert!(
            said.contains("20000x10000") && said.contains(flag),
            "{command}: {said}"
        );
        let said = scratch.failure(&format!("{command} {flag} 250"));
        assert!(
            said.contains("damaged or cut short"),
            "{command} {flag}: {said}"
        );
        let said = scratch.failure(&format!("{command} --max-bytes 53"));
        assert!(said.contains("53"), "{command}: {said}");
    }
    let said = scratch.failure("predict model=yolo11n.yaml save=False source=a.bmp max_bytes=53");
    assert!(said.contains("--max-bytes"), "{said}");
}

#[test]
fn a_model_over_a_limit_names_the_flag_that_raises_it() {
    let scratch = Scratch::new("model");
    let converted = Command::new(env!("CARGO_BIN_EXE_onelook"))
        .args(["convert", "model=yolo11n.yaml", "out=a.safetensors"])
        .current_dir(&scratch.0)
        .output();
    assert!(converted.unwrap().status.success());
    let said = scratch.failure("bench model=a.safetensors max_model_bytes=1MB");
    assert!(said.contains("--max-model-bytes"), "{said}");
}

#[test]
fn a_git_lfs_pointer_is_called_so() {
    let scratch = Scratch::new("pointer");
    for name in ["a.jpg", "a.pt", "a.json"] {
        fs::write(scratch.0.join(name), LFS_POINTER).unwrap();
    }
    for command in [
        "predict model=yolo11n.yaml imgsz=64 save=False source=a.jpg",
        "predict model=a.pt save=False source=a.jpg",
        "val model=yolo11n.yaml save=False data=a.json",
    ] {
        let said = scratch.failure(command);
        assert!(
            said.contains("Git LFS pointer") && said.contains("git lfs pull"),
            "{said}"
        );
    }
}
