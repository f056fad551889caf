//! Every dependency's licence against deny.toml's list, without cargo-deny.

use std::process::Command;

use serde_json::Value;

use crate::{assert_none, cargo_metadata, text};

/// The strings of the `allow` list below `[licenses]`.
fn allowed() -> Vec<String> {
    let deny = text("deny.toml");
    let (_, list) = deny
        .split_once("\nallow = [\n")
        .expect("deny.toml has an allow list");
    let (list, _) = list.split_once(']').unwrap();
    let entries = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"'));
    entries
        .map(|entry| entry.trim_end_matches(['"', ',']).to_owned())
        .collect()
}

/// Whether an SPDX expression can be met from the list. `/` is an old way to write OR.
fn permits(allowed: &[String], expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    alternatives(allowed, &mut rest) && rest.is_empty()
}

fn alternatives(allowed: &[String], rest: &mut &[&str]) -> bool {
    let mut met = conjunction(allowed, rest);
    while let ["OR", after @ ..] = *rest {
        *rest = after;
        met |= conjunction(allowed, rest);
    }
    met
}

fn conjunction(allowed: &[String], rest: &mut &[&str]) -> bool {
    let mut met = licence(allowed, rest);
    while let ["AND", after @ ..] = *rest {
        *rest = after;
        met &= licence(allowed, rest);
    }
    met
}

fn licence(allowed: &[String], rest: &mut &[&str]) -> bool {
    match *rest {
        ["(", after @ ..] => {
            *rest = after;
            let met = alternatives(allowed, rest);
            *rest = rest.strip_prefix([")"].as_slice()).unwrap_or_default();
            met
        }
        [name, "WITH", exception, after @ ..] => {
            *rest = after;
            allowed.contains(&format!("{name} WITH {exception}"))
        }
        [name, after @ ..] => {
            *rest = after;
            allowed.iter().any(|licence| licence == name)
        }
        [] => false,
    }
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let allowed = [
        "MIT".to_owned(),
        "Apache-2.0 WITH LLVM-exception".to_owned(),
    ];
    assert!(permits(&allowed, "MIT/Apache-2.0"));
    assert!(permits(&allowed, "GPL-3.0 OR MIT"));
    assert!(permits(
        &allowed,
        "(GPL-3.0 OR MIT) AND Apache-2.0 WITH LLVM-exception"
    ));
    assert!(!permits(&allowed, "MIT AND GPL-3.0"));
    assert!(!permits(&allowed, "(MIT OR Apache-2.0) AND GPL-3.0"));
    assert!(!permits(&allowed, ""));
}

#[test]
fn every_dependency_has_a_permissive_licence_and_comes_from_the_registry() {
    let allowed = allowed();
    let metadata = cargo_metadata(&["--filter-platform", &host()]);
    let mut complaints = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("");
        if !permits(&allowed, licence) {
            complaints.push(format!(
                "{name}: licence '{licence}' is not on deny.toml's list"
            ));
        }
        if let Value::String(source) = &package["source"]
            && source != "registry+https://github.com/rust-lang/crates.io-index"
        {
            complaints.push(format!("{name} comes from {source}"));
        }
    }
    assert_none(&complaints);
}

/// The triple that we run on: packages of other systems need not be on this disk.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap()
        .to_owned()
}
