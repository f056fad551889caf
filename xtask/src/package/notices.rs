//! The licences of everything that is linked into the binary, as those licences ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::python::TRIPLE;
use crate::shell::{Outcome, cargo, read};

/// How names of files begin that hold a licence.
const BEGINNINGS: [&str; 4] = ["license", "licence", "copying", "notice"];

/// All licences, each text once with the packages that it is for.
pub fn collect(features: &str) -> Outcome<String> {
    let metadata = read(&mut cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--locked",
    ]))?;
    let metadata: Value =
        serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let linked = linked(features)?;
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut listed = BTreeSet::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let name = format!("{} v{}", text("name"), text("version"));
        // Packages of this repository have no source.
        if package["source"].is_null() || !linked.contains(&name) {
            continue;
        }
        let folder = Path::new(text("manifest_path")).parent();
        let found = folder.map(licences).transpose()?.unwrap_or_default();
        let remark = if found.is_empty() {
            " (the package has no text of it)"
        } else {
            ""
        };
        listed.insert(format!("{name}: {}{remark}", text("license")));
        for licence in found {
            texts.entry(licence).or_default().insert(name.clone());
        }
    }
    if listed.is_empty() {
        return Err("no dependency was found: cargo tree and cargo metadata disagree".to_owned());
    }
    Ok(document(&listed, &texts))
}

/// `name vVERSION` of what ends up in the binary.
fn linked(features: &str) -> Outcome<BTreeSet<String>> {
    let tree = [
        "tree",
        "--locked",
        "--package",
        "onelook-cli",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--target",
        TRIPLE,
        "--features",
        features,
    ];
    let lines = read(&mut cargo(&tree))?;
    // A line may say more: where a path leads, that a procedural macro is meant, that it was listed before.
    let name = |line: &str| {
        line.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    };
    Ok(lines.lines().map(name).collect())
}

/// The texts of the licences in a package's folder.
fn licences(folder: &Path) -> Outcome<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let is_licence = |path: &Path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        path.is_file()
            && BEGINNINGS
                .iter()
                .any(|beginning| name.starts_with(beginning))
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = paths.filter(|path| is_licence(path)).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(String::from_utf8_lossy(&bytes).trim().replace("\r\n", "\n"))
        })
        .collect()
}

fn document(listed: &BTreeSet<String>, texts: &BTreeMap<String, BTreeSet<String>>) -> String {
    let mut document =
        "onelook is linked with these packages, under these licences.\n\n".to_owned();
    for line in listed {
        document.push_str(&format!("{line}\n"));
    }
    for (text, names) in texts {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let rule = "-".repeat(80);
        document.push_str(&format!(
            "\n{rule}\n{}\n{rule}\n\n{text}\n",
            names.join("\n")
        ));
    }
    document
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::document;

    #[test]
    fn a_text_stands_once_with_all_packages_that_it_is_for() {
        let names = BTreeSet::from(["a v1".to_owned(), "b v2".to_owned()]);
        let texts = BTreeMap::from([("Permission is granted".to_owned(), names)]);
        let listed = BTreeSet::from(["a v1: MIT".to_owned(), "b v2: MIT".to_owned()]);
        let document = document(&listed, &texts);
        assert_eq!(document.matches("Permission").count(), 1);
        assert!(document.contains("a v1\nb v2\n"), "{document}");
    }
}
