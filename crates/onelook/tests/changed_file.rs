//! Model files that are written to while they are loaded: an error, or a whole old or new model.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use onelook::graph::op::Op;
use onelook::graph::read::ModelFile;
use onelook::types::Tensor;
use onelook::{LoadOptions, read_model, write_model};

/// A model file of one family whose weights are all `value`, and as long as every other of its kind.
fn written(value: f32, path: &Path) -> Vec<u8> {
    let mut model = onelook::graph::family::build("yolo11n").unwrap();
    for node in &mut model.graph.nodes {
        if let Op::Conv(conv) = &mut node.op {
            conv.weight = Arc::new(Tensor::from_fn(conv.weight.shape().clone(), |_| value));
        }
    }
    write_model(&model, path).unwrap();
    fs::read(path).unwrap()
}

/// The one value of all weights; panics on a mixture.
fn value_of(model: &ModelFile) -> f32 {
    let weights = model.graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Conv(conv) => Some(&conv.weight),
        _ => None,
    });
    let mut values = weights.flat_map(|weight| weight.data().iter().copied());
    let first = values.next().unwrap();
    assert!(
        values.all(|value| value == first),
        "weights of two models in one"
    );
    first
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("onelook-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Loads again and again while `write` changes the file; counts models and refusals.
fn load_while(path: &Path, write: impl Fn(usize) + Sync) -> (usize, usize) {
    let stop = AtomicBool::new(false);
    let (mut loaded, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                write(turn);
                // Long enough at times for a load to fit in between.
                std::thread::sleep(Duration::from_millis([0, 3, 150][turn % 3]));
            }
        });
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3) {
            match read_model(path, &LoadOptions::default()) {
                Ok(model) => {
                    let value = value_of(&model);
                    assert!(value == 1.0 || value == 2.0, "{value}");
                    loaded += 1;
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(&path.display().to_string()), "{text}");
                    refused += 1;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    eprintln!("{loaded} loaded, {refused} refused");
    (loaded, refused)
}

#[test]
fn a_file_that_is_overwritten_in_place_is_refused_or_whole() {
    let folder = Folder::new("overwritten");
    let path = folder.0.join("model.safetensors");
    let versions = [2.0, 1.0].map(|value| written(value, &path));
    let (loaded, refused) = load_while(&path, |turn| {
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        for part in versions[turn % 2].chunks(1 << 16) {
            file.write_all(part).unwrap();
        }
    });
    assert!(
        loaded > 0 && refused > 0,
        "{loaded} loaded, {refused} refused"
    );
}

#[test]
fn a_file_that_is_truncated_is_refused_or_whole() {
    let folder = Folder::new("truncated");
    let path = folder.0.join("model.safetensors");
    let bytes = written(1.0, &path);
    let (loaded, refused) = load_while(&path, |_| {
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(4096).unwrap();
        std::thread::yield_now();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(&bytes).unwrap();
    });
    assert!(
        loaded > 0 && refused > 0,
        "{loaded} loaded, {refused} refused"
    );
}

#[test]
fn a_file_that_is_replaced_by_renaming_is_always_whole() {
    let folder = Folder::new("renamed");
    let path = folder.0.join("model.safetensors");
    let versions = [2.0, 1.0].map(|value| written(value, &path));
    let (loaded, refused) = load_while(&path, |turn| {
        let next = folder.0.join("next");
        fs::write(&next, &versions[turn % 2]).unwrap();
        // Readers wait until a file is older than a step of time stamps.
        std::thread::sleep(Duration::from_millis(25));
        fs::rename(&next, &path).unwrap();
    });
    assert!(
        loaded > 0 && refused == 0,
        "{loaded} loaded, {refused} refused"
    );
}

#[test]
fn a_large_file_of_another_kind_is_refused_by_its_start() {
    let folder = Folder::new("large");
    let path = folder.0.join("model.safetensors");
    let file = fs::File::create(&path).unwrap();
    file.set_len(2 << 30).unwrap();
    let start = Instant::now();
    let error = read_model(&path, &LoadOptions::default()).unwrap_err();
    assert_eq!(error.kind(), "model", "{error}");
    assert!(start.elapsed() < Duration::from_secs(1), "read whole");
}
