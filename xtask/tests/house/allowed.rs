//! Lists of what is left of a fault that may only get rarer: `COUNT WHAT`, a line each.
//!
//! More than a list allows fails, and so does a line for something that is gone. `ONELOOK_UPDATE=1 cargo test -p xtask`
//! writes the lists anew; a list that grows is for the reviewer to refuse.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{assert_none, root};

pub struct Allowed {
    path: PathBuf,
    counts: BTreeMap<String, usize>,
}

impl Allowed {
    pub fn read(name: &str) -> Self {
        let path = root().join("xtask/tests/house").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let entry = |line: &str| {
            let (count, what) = line.split_once(' ').unwrap();
            (what.to_owned(), count.parse().unwrap())
        };
        Self {
            path,
            counts: lines.map(entry).collect(),
        }
    }

    pub fn compare(&self, found: &BTreeMap<String, usize>) {
        if std::env::var_os("ONELOOK_UPDATE").is_some() {
            let lines = found
                .iter()
                .map(|(what, count)| format!("{count} {what}\n"));
            return std::fs::write(&self.path, lines.collect::<String>()).unwrap();
        }
        let name = self.path.file_name().unwrap().display();
        let allowed = |what: &String| self.counts.get(what).copied().unwrap_or(0);
        let more = found.iter().filter(|(what, count)| **count > allowed(what));
        let more = more.map(|(what, count)| {
            format!("{what}: {count}, {} are allowed by {name}", allowed(what))
        });
        let gone = self.counts.keys().filter(|what| !found.contains_key(*what));
        let gone = gone.map(|what| format!("{what}: none left, remove its line from {name}"));
        assert_none(&more.chain(gone).collect::<Vec<_>>());
    }
}
