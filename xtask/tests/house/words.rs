//! Words that only this project would understand: standard terms stand in their place.
//!
//! words.txt has the words and what to say instead.

use std::collections::BTreeSet;

use crate::{assert_none, files, root, text};

/// `kind: word, word → instead` of words.txt.
struct Rule {
    /// Whether only definitions of types are meant: as words of English the names are harmless.
    types_only: bool,
    words: Vec<String>,
}

fn rules() -> Vec<Rule> {
    let text = text("xtask/tests/house/words.txt");
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rule = |line: &str| {
        let (kind, rest) = line.split_once(": ").unwrap();
        let (words, _instead) = rest.split_once(" → ").unwrap();
        assert!(["type", "word"].contains(&kind), "{line}");
        Rule {
            types_only: kind == "type",
            words: words.split(", ").map(str::to_owned).collect(),
        }
    };
    lines.map(rule).collect()
}

/// Parts of identifiers and words, in lower case: `take_HTTPDoors` is take, httpdoors; `TakeDoor` is take, door.
fn parts(line: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut last_lower = false;
    for letter in line.chars() {
        if !letter.is_alphabetic() || (letter.is_uppercase() && last_lower) {
            parts.push(String::new());
        }
        if letter.is_alphabetic() {
            parts.last_mut().unwrap().extend(letter.to_lowercase());
        }
        last_lower = letter.is_lowercase();
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn types(line: &str) -> impl Iterator<Item = &str> {
    let words = || line.split(|c: char| !c.is_alphanumeric() && c != '_');
    let after = words().skip(1);
    words()
        .zip(after)
        .filter(|(keyword, _)| ["struct", "enum", "trait", "type", "union"].contains(keyword))
        .map(|(_, name)| name)
}

/// How often a line has one of the words; words with a space are looked for as they are.
fn count(line: &str, words: &BTreeSet<&str>, phrases: &[&str]) -> Vec<String> {
    let is_word = |part: &String| {
        let singular = part.strip_suffix('s').unwrap_or(part);
        words
            .get(part.as_str())
            .or_else(|| words.get(singular))
            .map(|word| (*word).to_owned())
    };
    let mut found: Vec<String> = parts(line).iter().filter_map(is_word).collect();
    let lower = line.to_lowercase();
    let phrases = phrases.iter().filter(|phrase| lower.contains(**phrase));
    found.extend(phrases.map(|phrase| (*phrase).to_owned()));
    found
}

/// Every text that people read: code, documents, pages, protocols.
fn texts() -> Vec<String> {
    let extensions = [
        ".rs", ".md", ".proto", ".html", ".js", ".py", ".sh", ".toml",
    ];
    let folders = [
        "crates",
        "docs",
        "benches",
        "fuzz",
        "notebooks",
        "proto",
        "scripts",
        "xtask",
    ];
    let mut texts: Vec<String> = folders
        .iter()
        .flat_map(|folder| extensions.iter().flat_map(|end| files(folder, end)))
        .collect();
    let top = std::fs::read_dir(root()).unwrap();
    let top = top.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    texts.extend(top.filter(|name| name.ends_with(".md")));
    texts.retain(|path| !path.ends_with("house/words.rs"));
    texts
}

#[test]
fn private_words_do_not_come_back() {
    let rules = rules();
    let of = |types_only: bool| {
        let rules = rules
            .iter()
            .filter(move |rule| rule.types_only == types_only);
        rules.flat_map(|rule| rule.words.iter().map(String::as_str))
    };
    let names: BTreeSet<&str> = of(true).collect();
    let words: BTreeSet<&str> = of(false).filter(|word| !word.contains(' ')).collect();
    let phrases: Vec<&str> = of(false).filter(|word| word.contains(' ')).collect();
    let mut found = Vec::new();
    for path in texts() {
        let is_code = path.ends_with(".rs");
        for line in text(&path).lines() {
            let own = types(line).filter(|name| is_code && names.contains(name));
            let own = own.map(|name| format!("type {name}"));
            for word in count(line, &words, &phrases).into_iter().chain(own) {
                found.push(format!("{path}: {word}"));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn words_are_found_within_identifiers() {
    assert_eq!(
        parts("fn takeDoor_of(Seats)"),
        ["fn", "take", "door", "of", "seats"]
    );
    let words = BTreeSet::from(["seat", "door"]);
    assert_eq!(
        count("let Seats = indoor.door", &words, &[]),
        ["seat", "door"]
    );
    assert_eq!(
        count("that is No Number", &words, &["no number"]),
        ["no number"]
    );
    assert_eq!(
        types("pub(super) struct Who<'a> {").collect::<Vec<_>>(),
        ["Who"]
    );
}
