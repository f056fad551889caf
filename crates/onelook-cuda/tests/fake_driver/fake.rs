//! Builds the driver without a GPU, puts it in a folder with a script, and reads what was called.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, process};

// Built by rustc alone, below; named here so that rustfmt finds it.
#[cfg(any())]
mod calls;

/// A GPU for most tests.
pub const H100: &str = "device NVIDIA H100 80GB HBM3|9.0|85899345920";

/// A copy of the driver without a GPU; a process may have several, each with a play of its own.
pub struct Fake {
    folder: PathBuf,
}

impl Fake {
    /// With lines for `script.rs`; the version is a good one unless they say otherwise.
    pub fn new(script: &[&str]) -> Self {
        Self::of_build(script, &[])
    }

    /// One that exports next to nothing.
    pub fn bare(script: &[&str]) -> Self {
        Self::of_build(script, &["--cfg", "bare"])
    }

    /// One that knows launches of a graph which start while the one before still runs.
    pub fn with_edges(script: &[&str]) -> Self {
        Self::of_build(script, &["--cfg", "edges"])
    }

    fn of_build(script: &[&str], flags: &[&str]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = scratch().join(format!("fake-{}-{number}", process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let fake = Self { folder };
        // The loader takes a second name of one file for the same library: only a copy is new.
        fs::copy(built(flags), fake.path()).unwrap();
        let versioned = script.iter().any(|line| line.starts_with("version"));
        let version = if versioned { "" } else { "version 12040\n" };
        fs::write(
            fake.folder.join("script"),
            format!("{version}{}\n", script.join("\n")),
        )
        .unwrap();
        fake
    }

    /// The library.
    pub fn path(&self) -> PathBuf {
        self.folder.join("libcuda.so.1")
    }

    /// A place for the test's own files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was called so far, a line each.
    pub fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How often a function was called.
    pub fn count(&self, function: &str) -> usize {
        let calls = self.calls();
        let is = |line: &&String| line.split(' ').next() == Some(function);
        calls.iter().filter(is).count()
    }

    /// The launches that were run, in their order.
    pub fn launches(&self) -> Vec<String> {
        let calls = self.calls();
        calls
            .iter()
            .filter_map(|line| line.strip_prefix("run ").map(str::to_owned))
            .collect()
    }

    /// What was made and not ended.
    pub fn leaks(&self) -> Vec<String> {
        let calls = self.calls();
        let made = calls.iter().filter_map(|line| line.strip_prefix('+'));
        let ended = calls.iter().filter_map(|line| line.strip_prefix('-'));
        let ended: HashSet<&str> = ended.collect();
        made.filter(|thing| !ended.contains(thing))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn scratch() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The library of these sources, built unless it is there already.
fn built(flags: &[&str]) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../onelook-cuda/tests/fake_driver");
    let names = [
        "calls.rs",
        "entry.rs",
        "hook.rs",
        "launched.rs",
        "location.rs",
        "script.rs",
        "state.rs",
    ];
    let texts = names.map(|name| fs::read(sources.join(name)).unwrap());
    let sum = texts
        .concat()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, &byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
    let name = format!("fake-cuda-{sum:016x}{}.so", flags.concat());
    let library = scratch().join(&name);
    if library.exists() {
        return library;
    }
    let temporary = scratch().join(format!(
        "{}-{:?}-{name}",
        process::id(),
        std::thread::current().id()
    ));
    let cargo = env::var_os("CARGO").map(PathBuf::from).unwrap_or_default();
    let beside = cargo.with_file_name(format!("rustc{}", env::consts::EXE_SUFFIX));
    let rustc = if beside.is_file() {
        beside
    } else {
        PathBuf::from("rustc")
    };
    let status = Command::new(rustc)
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "cdylib",
            "--crate-name",
            "fake_cuda",
        ])
        .args([
            "-C",
            "strip=symbols",
            "-C",
            "panic=abort",
            "-A",
            "unused",
            "-A",
            "non_snake_case",
        ])
        .args(["--check-cfg", "cfg(bare, edges)"])
        .args(flags)
        .arg("-o")
        .arg(&temporary)
        .arg(sources.join("calls.rs"))
        .status()
        .expect("rustc runs");
    assert!(status.success(), "the driver without a GPU was not built");
    fs::rename(&temporary, &library).unwrap();
    library
}
