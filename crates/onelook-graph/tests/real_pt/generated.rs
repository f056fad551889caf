//! Checkpoints of every scale, with random weights, as `scripts/generate_checkpoints.py` writes
//! them together with what PyTorch computes.

use std::path::{Path, PathBuf};

use onelook_graph::read::ReadOptions;
use onelook_graph::{read, reference};

use super::{npy, optimised};

pub(super) fn folder() -> PathBuf {
    let folder = std::env::var_os("ONELOOK_GENERATED_CHECKPOINTS");
    let folder = folder.expect(
        "set ONELOOK_GENERATED_CHECKPOINTS to a folder written by scripts/generate_checkpoints.py",
    );
    PathBuf::from(folder)
}

#[test]
#[ignore = "needs checkpoints written by scripts/generate_checkpoints.py"]
fn every_scale_computes_what_pytorch_computes() {
    let folder = folder();
    let mut checked = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "pt") {
            check(&path);
            checked += 1;
        }
    }
    assert!(checked > 0, "no checkpoints in {}", folder.display());
}

fn check(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let name = path.file_stem().unwrap().to_str().unwrap();
    let input = npy(&path.with_extension("input.npy"));
    for (kind, end_to_end) in [("many", false), ("one", true)] {
        if !path.with_extension(format!("{kind}.0.npy")).exists() {
            continue;
        }
        let options = ReadOptions {
            end_to_end: Some(end_to_end),
            ..ReadOptions::default()
        };
        let model = read::read(&bytes, &options).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            Some(model.metadata.architecture.as_str()),
            name.split('-').next()
        );
        assert_eq!(model.metadata.image_size, [320, 320]);
        let maps = reference::run(&optimised(&model), &[&input]).unwrap();
        let mut worst = 0.0f32;
        for (index, map) in maps.iter().enumerate() {
            let expected = npy(&path.with_extension(format!("{kind}.{index}.npy")));
            assert_eq!(map.shape(), expected.shape());
            worst = worst.max(worst_of_range(map.data(), expected.data()));
        }
        eprintln!("{name} {kind}: worst difference {worst:.2e} of the largest value");
        assert!(worst < 1e-3, "{name} {kind}: {worst}");
    }
}

/// The largest difference, relative to the largest expected value.
fn worst_of_range(actual: &[f32], expected: &[f32]) -> f32 {
    let largest = expected
        .iter()
        .fold(1e-6, |largest: f32, value| largest.max(value.abs()));
    let differences = actual.iter().zip(expected).map(|(a, b)| (a - b).abs());
    // A NaN must not pass for small.
    differences.fold(0.0, |worst: f32, next| {
        if next > worst || next.is_nan() {
            next
        } else {
            worst
        }
    }) / largest
}
