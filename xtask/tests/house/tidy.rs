//! Rules for each source file: how it opens, how long it is, how it is named, where it is unsafe.

use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ImplItem, Lit, Meta, Signature};

use crate::rooms::rooms;
use crate::{assert_none, files, text};

const LONGEST: usize = 500;

/// Files that a program writes and nobody reads from top to bottom.
const GENERATED: [&str; 1] = ["crates/onelook-server/src/grpc/generated.rs"];

/// Names that say nothing of what lives behind them.
const EMPTY_NAMES: [&str; 10] = [
    "utils", "util", "helpers", "helper", "common", "misc", "core", "manager", "base", "shared",
];

/// How many lines above an unsafe block its reason may start.
const SAFETY_REACH: usize = 12;

fn sources() -> Vec<String> {
    ["crates", "xtask", "fuzz", "benches", "proto"]
        .iter()
        .flat_map(|folder| files(folder, ".rs"))
        .collect()
}

#[test]
fn each_file_opens_by_saying_what_it_is() {
    let silent = sources()
        .into_iter()
        .filter(|path| !text(path).starts_with("//! "));
    assert_none(
        &silent
            .map(|path| format!("{path} does not open with //!"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn no_file_is_too_long_to_read() {
    let mut complaints = Vec::new();
    let written = |path: &String| !GENERATED.contains(&path.as_str());
    for path in sources().into_iter().filter(written) {
        let lines = text(&path).lines().count();
        if lines > LONGEST {
            complaints.push(format!(
                "{path} has {lines} lines, more than {LONGEST}: split it"
            ));
        }
    }
    assert_none(&complaints);
}

#[test]
fn modules_are_named_for_what_they_hold() {
    let mut complaints = Vec::new();
    for path in sources() {
        let parts = path.trim_end_matches(".rs").split('/').skip(1);
        for part in parts.filter(|part| EMPTY_NAMES.contains(part)) {
            complaints.push(format!("{path}: '{part}' says nothing of what lives there"));
        }
    }
    // Only below tests/ has a shared module no other place: a file there would be a test itself.
    let modules = sources()
        .into_iter()
        .filter(|path| path.ends_with("/mod.rs"));
    let misplaced = modules.filter(|path| !path.contains("/tests/"));
    complaints.extend(misplaced.map(|path| format!("{path}: write foo.rs beside foo/")));
    assert_none(&complaints);
}

#[test]
fn unsafe_lives_only_in_the_licensed_rooms_and_gives_its_reason() {
    let rooms = rooms();
    let mut complaints = Vec::new();
    for path in sources() {
        let text = text(&path);
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            if !is_unsafe(line) {
                continue;
            }
            let room = rooms
                .iter()
                .find(|r| path.starts_with(&format!("crates/{}/", r.name)));
            if !room.is_some_and(|room| licensed(&room.unsafe_code, &path)) {
                complaints.push(format!("{path}:{}: unsafe without a licence", index + 1));
            } else if !gives_reason(&lines, index) {
                complaints.push(format!("{path}:{}: unsafe without SAFETY", index + 1));
            }
        }
    }
    assert_none(&complaints);
}

/// Whether the line opens an unsafe block, function, implementation or trait.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or(line);
    let forms = [
        "unsafe {",
        "unsafe fn",
        "unsafe impl",
        "unsafe trait",
        "unsafe extern",
    ];
    forms.iter().any(|form| code.contains(form)) && !code.contains("\"unsafe")
}

/// `yes`, or between backticks the path's end or a folder that it lies in.
fn licensed(cell: &str, path: &str) -> bool {
    cell == "yes"
        || cell
            .split('`')
            .skip(1)
            .step_by(2)
            .any(|place| path.ends_with(place) || (place.ends_with('/') && path.contains(place)))
}

/// A reason stands on the line or above it; function pointer types and macros carry theirs inside.
fn gives_reason(lines: &[&str], index: usize) -> bool {
    let line = lines[index];
    if !line.contains("unsafe {") && !line.contains("unsafe impl") {
        return true;
    }
    let from = index.saturating_sub(SAFETY_REACH);
    lines[from..=index]
        .iter()
        .any(|line| line.contains("SAFETY:") || line.contains("# Safety"))
}

/// Reasons that name no invariant.
const EMPTY_REASONS: [&str; 2] = ["SAFETY: the caller's contract", "SAFETY: caller's contract"];

#[test]
fn a_reason_for_unsafe_names_its_invariant() {
    let mut complaints = Vec::new();
    for path in sources()
        .into_iter()
        .filter(|path| !path.starts_with("xtask/"))
    {
        for (index, line) in text(&path).lines().enumerate() {
            if EMPTY_REASONS.iter().any(|empty| line.contains(empty)) {
                complaints.push(format!(
                    "{path}:{}: say what holds and who sees to it",
                    index + 1
                ));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn every_unsafe_function_states_its_contract() {
    let mut complaints = Vec::new();
    for path in sources() {
        let text = text(&path);
        if !text.contains("unsafe fn") {
            continue;
        }
        let mut silent = Silent::default();
        silent.visit_file(&syn::parse_file(&text).unwrap());
        let lines = silent.0.iter();
        complaints.extend(lines.map(|name| format!("{path}: {name} is unsafe without '# Safety'")));
    }
    assert_none(&complaints);
}

/// The unsafe functions without a contract of their own; those that implement a trait have the trait's.
#[derive(Default)]
struct Silent(Vec<String>);

impl Silent {
    fn check(&mut self, signature: &Signature, attributes: &[Attribute]) {
        let says = |attribute: &Attribute| match &attribute.meta {
            Meta::NameValue(meta) => match &meta.value {
                Expr::Lit(text) => {
                    matches!(&text.lit, Lit::Str(text) if text.value().contains("# Safety"))
                }
                _ => false,
            },
            _ => false,
        };
        if signature.unsafety.is_some() && !attributes.iter().any(says) {
            self.0.push(signature.ident.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Silent {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.check(&item.sig, &item.attrs);
        visit::visit_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.check(&item.sig, &item.attrs);
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        for function in item.items.iter().filter(|_| item.trait_.is_none()) {
            if let ImplItem::Fn(function) = function {
                self.check(&function.sig, &function.attrs);
            }
        }
        visit::visit_item_impl(self, item);
    }
}
