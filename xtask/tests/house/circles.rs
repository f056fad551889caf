//! Files of a crate form no import circles.
//!
//! A file and the folder beside it are one module: a child may use what its parent's file defines, and the parent its
//! children. Among the children of one module there must be no way from one, along what its files use of another's,
//! back to itself. A re-export counts as the file where the item is written.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::{Modules, Name, Use};
use crate::{assert_none, root};

/// What one child of a module uses of another.
type Edges<'u> = BTreeMap<(&'u str, &'u str), Vec<&'u Use>>;

/// Uses between the children of each module.
fn levels(uses: &BTreeSet<Use>) -> BTreeMap<&[String], Edges<'_>> {
    let mut levels: BTreeMap<&[String], Edges<'_>> = BTreeMap::new();
    for used in uses {
        let shared = used.from.iter().zip(&used.to).take_while(|(a, b)| a == b);
        let depth = shared.count();
        // Where one contains the other they are one module.
        let (Some(from), Some(to)) = (used.from.get(depth), used.to.get(depth)) else {
            continue;
        };
        let edges = levels.entry(&used.from[..depth]).or_default();
        edges.entry((from, to)).or_default().push(used);
    }
    levels
}

/// The children that can be reached from `start`.
fn reached<'u>(edges: &Edges<'u>, start: &str) -> BTreeSet<&'u str> {
    let mut reached = BTreeSet::new();
    let mut pending = vec![start.to_owned()];
    while let Some(child) = pending.pop() {
        for (_, to) in edges.keys().filter(|(from, _)| *from == child) {
            if reached.insert(*to) {
                pending.push((*to).to_owned());
            }
        }
    }
    reached
}

/// The uses that lie on circles: those whose target leads back to where they stand.
fn on_circles<'e, 'u>(
    edges: &'e Edges<'u>,
) -> impl Iterator<Item = (&'u str, &'u str, &'u Use)> + use<'e, 'u> {
    let on_circle = |&(&(from, to), _): &(&(&str, &str), _)| reached(edges, to).contains(from);
    edges
        .iter()
        .filter(on_circle)
        .map(|(&(from, to), uses)| (from, to, uses[0]))
}

/// Each circle of a crate as `CRATE parent: from -> to (path)`, one line per pair of modules.
fn circles(folder: &str, modules: &Modules) -> Vec<String> {
    let uses = modules.uses();
    let mut lines = Vec::new();
    for (parent, edges) in levels(&uses) {
        let place = Name::from([folder.to_owned()]).into_iter();
        let place = place.chain(parent.iter().cloned()).collect::<Name>();
        for (from, to, used) in on_circles(&edges) {
            let place = place.join("::");
            lines.push(format!("{place} {from} -> {to}\t{}", used.path));
        }
    }
    lines
}

#[test]
fn files_of_a_crate_form_no_import_circles() {
    let mut complaints = Vec::new();
    for folder in std::fs::read_dir(root().join("crates")).unwrap() {
        let folder = folder.unwrap().path();
        let mut roots = ["src/lib.rs", "src/main.rs"]
            .map(|file| folder.join(file))
            .into_iter();
        let Some(file) = roots.find(|file| file.exists()) else {
            continue;
        };
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        for line in circles(&name, &Modules::read(&file)) {
            let (edge, path) = line.split_once('\t').unwrap();
            complaints.push(format!("{edge}, by {path}"));
        }
    }
    assert_none(&complaints);
}

#[test]
fn a_circle_is_found_through_a_re_export_and_not_between_parent_and_child() {
    let folder = std::env::temp_dir().join(format!("onelook-circles-{}", std::process::id()));
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a; mod b; mod c; pub use b::B;");
    write(
        "a.rs",
        "use crate::B; pub struct A; #[cfg(test)] mod tests { use crate::c::C; }",
    );
    write("b.rs", "mod inside; pub struct B; fn f() { inside::g() }");
    write(
        "b/inside.rs",
        "use super::B; pub fn g() -> crate::a::A { crate::a::A }",
    );
    write(
        "c.rs",
        "pub struct C; fn f() -> Vec<String> { vec![format!(\"{}\", crate::a::A)] }",
    );
    let lines = circles("crate", &Modules::read(&folder.join("lib.rs")));
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(
        lines,
        ["crate a -> b\tcrate::B", "crate b -> a\tcrate::a::A",]
    );
}
