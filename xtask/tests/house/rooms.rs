//! ARCHITECTURE.md's rooms table against the crates and their dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::{cargo_metadata, root, text};

/// One line of the rooms table.
pub struct CrateRow {
    pub layer: u32,
    pub name: String,
    pub imports: BTreeSet<String>,
    /// `no`, `yes`, or the files that may.
    pub unsafe_code: String,
}

/// The table below the heading "Rooms": layer, room, what lives there, imports, unsafe, never.
pub fn rooms() -> Vec<CrateRow> {
    let map = text("ARCHITECTURE.md");
    let (_, after) = map
        .split_once("\n## Crates\n")
        .expect("ARCHITECTURE.md has '## Crates'");
    let section = after.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(room).collect()
}

fn room(row: &str) -> CrateRow {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    assert_eq!(cells.len(), 6, "a rooms row has six cells: {row}");
    CrateRow {
        layer: cells[0]
            .parse()
            .unwrap_or_else(|_| panic!("no layer in: {row}")),
        name: cells[1].trim_matches('`').to_owned(),
        imports: quoted(cells[3]),
        unsafe_code: cells[4].to_owned(),
    }
}

/// The words between backticks.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_rooms_table_lists_exactly_the_crates() {
    let listed: BTreeSet<String> = rooms().into_iter().map(|room| room.name).collect();
    let folders: BTreeSet<String> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(
        listed, folders,
        "ARCHITECTURE.md (left) and crates/ (right) differ"
    );
}

#[test]
fn rooms_import_exactly_what_the_table_says() {
    let table: BTreeMap<String, BTreeSet<String>> = rooms()
        .into_iter()
        .map(|room| (room.name, room.imports))
        .collect();
    let metadata = cargo_metadata(&["--no-deps"]);
    let mut actual = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if ["test-support", "xtask"].contains(&name) {
            continue;
        }
        let manifest = package["manifest_path"].as_str().unwrap();
        let folder = format!("/crates/{name}/Cargo.toml");
        assert!(manifest.ends_with(&folder), "{name} lies in {manifest}");
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let internal = dependencies
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
            .filter(|dependency| table.contains_key(dependency));
        actual.insert(name.to_owned(), internal.collect::<BTreeSet<_>>());
    }
    assert_eq!(
        table, actual,
        "ARCHITECTURE.md (left) and cargo metadata (right) differ"
    );
}

#[test]
fn no_room_imports_a_sibling_or_a_higher_room() {
    let rooms = rooms();
    let layer = |name: &String| {
        rooms
            .iter()
            .find(|room| room.name == *name)
            .map(|r| r.layer)
    };
    for room in &rooms {
        for import in &room.imports {
            let below = layer(import).is_some_and(|layer| layer < room.layer);
            assert!(below, "{} must not import {import}", room.name);
        }
    }
}
