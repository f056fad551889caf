//! The house rules, held against the tree: crates and what they import, circles, tidy files, documents, words.
//!
//! Reads the repository and `cargo metadata`; changes nothing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod circles;
mod documents;
mod modules;
mod rooms;
mod tidy;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn cargo_metadata(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(args)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {complaint}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// All files below `folder` whose name ends with `extension`, as paths from the root.
fn files(folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&root().join(folder), extension, &mut found);
    let root = root();
    let relative = found.iter().map(|path| path.strip_prefix(&root).unwrap());
    let mut paths: Vec<String> = relative.map(|path| path.to_str().unwrap().into()).collect();
    paths.sort();
    paths
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            let built = matches!(
                &*name,
                "target" | "corpus" | "artifacts" | ".git" | "node_modules"
            );
            if !built {
                collect(&path, extension, found);
            }
        } else if name.ends_with(extension) {
            found.push(path);
        }
    }
}

/// Fails with all complaints at once.
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n  {}\n", complaints.join("\n  "));
}
