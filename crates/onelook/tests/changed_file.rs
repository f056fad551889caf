//! Model files that are written to while they are loaded: an error, or a whole old or new model.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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

/// The one value of all weights, or `None` for a mixture.
fn value_of(model: &ModelFile) -> Option<f32> {
    let weights = model.graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Conv(conv) => Some(&conv.weight),
        _ => None,
    });
    let mut values = weights.flat_map(|weight| weight.data().iter().copied());
    let first = values.next().unwrap();
    values.all(|value| value == first).then_some(first)
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

/// What came of loading a file again and again while it was written to.
#[derive(Debug, Default)]
struct Loads {
    whole: usize,
    refused: usize,
    /// Mixtures that no reader can notice: the writer rested in the middle for longer than a step
    /// of time stamps, because the machine was busy.
    rested: usize,
}

/// Rests of a writer from which its file looks complete to a reader.
const REST: Duration = Duration::from_millis(10);

/// Loads while `write` changes the file and says how long it rested in the middle, until `enough`.
fn load_while(
    path: &Path,
    write: impl Fn(usize) -> Duration + Sync,
    enough: impl Fn(&Loads) -> bool,
) -> Loads {
    let stop = AtomicBool::new(false);
    let (turns, rests) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut loads = Loads::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0.. {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                if write(turn) >= REST {
                    rests.fetch_add(1, Ordering::SeqCst);
                }
                turns.fetch_add(1, Ordering::SeqCst);
                // Long enough at times for a load to fit in between.
                std::thread::sleep(Duration::from_millis([0, 3, 150][turn % 3]));
            }
        });
        // Threads that panic end the scope only after all others: the writer is stopped by this.
        let _stop = StopOnDrop(&stop);
        let start = Instant::now();
        while !enough(&loads) && start.elapsed() < Duration::from_secs(60) {
            let rests_before = rests.load(Ordering::SeqCst);
            match read_model(path, &LoadOptions::default()) {
                Ok(model) => match value_of(&model) {
                    Some(value) => {
                        assert!(value == 1.0 || value == 2.0, "{value}");
                        loads.whole += 1;
                    }
                    None => {
                        let now = turns.load(Ordering::SeqCst);
                        while turns.load(Ordering::SeqCst) < now + 2 {
                            std::thread::yield_now();
                        }
                        let rested = rests.load(Ordering::SeqCst) > rests_before;
                        assert!(rested, "weights of two models in one");
                        loads.rested += 1;
                    }
                },
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(&path.display().to_string()), "{text}");
                    loads.refused += 1;
                }
            }
        }
    });
    loads
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Writes all of `bytes` at the file's position; the longest time between two parts.
fn write_parts(file: &mut fs::File, bytes: &[u8]) -> Duration {
    let mut longest = Duration::ZERO;
    let mut last = Instant::now();
    for part in bytes.chunks(1 << 16) {
        file.write_all(part).unwrap();
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    longest
}

fn both(loads: &Loads) -> bool {
    loads.whole >= 3 && loads.refused >= 3
}

#[test]
fn a_file_that_is_overwritten_in_place_is_refused_or_whole() {
    let folder = Folder::new("overwritten");
    let path = folder.0.join("model.safetensors");
    let versions = [2.0, 1.0].map(|value| written(value, &path));
    let write = |turn: usize| {
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        write_parts(&mut file, &versions[turn % 2])
    };
    let loads = load_while(&path, write, both);
    assert!(both(&loads), "{loads:?}");
}

#[test]
fn a_file_that_is_truncated_is_refused_or_whole() {
    let folder = Folder::new("truncated");
    let path = folder.0.join("model.safetensors");
    let bytes = written(1.0, &path);
    let write = |_| {
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(4096).unwrap();
        std::thread::yield_now();
        file.seek(SeekFrom::Start(0)).unwrap();
        write_parts(&mut file, &bytes)
    };
    let loads = load_while(&path, write, both);
    assert!(both(&loads), "{loads:?}");
}

#[test]
fn a_file_that_is_replaced_by_renaming_is_always_whole() {
    let folder = Folder::new("renamed");
    let path = folder.0.join("model.safetensors");
    let versions = [2.0, 1.0].map(|value| written(value, &path));
    let write = |turn: usize| {
        let next = folder.0.join("next");
        fs::write(&next, &versions[turn % 2]).unwrap();
        // Readers wait until a file is older than a step of time stamps.
        std::thread::sleep(Duration::from_millis(25));
        fs::rename(&next, &path).unwrap();
        Duration::ZERO
    };
    let loads = load_while(&path, write, |loads| loads.whole >= 30);
    assert!(loads.whole >= 30 && loads.refused == 0, "{loads:?}");
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
