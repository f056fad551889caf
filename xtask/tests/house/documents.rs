//! The two READMEs say the same, links lead somewhere, the changelog keeps its form.

use std::path::Path;

use crate::{assert_none, files, root, text};

fn lines_outside_code(document: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    document.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// What stands in fenced blocks, less comments, which are translated.
fn commands(document: &str) -> Vec<String> {
    let mut code = false;
    let mut commands = Vec::new();
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
            commands.push(line.trim().to_owned());
        } else if code && !line.trim_start().starts_with(['#']) {
            let command = line.split("  #").next().unwrap_or(line);
            commands.push(command.trim_end().to_owned());
        }
    }
    commands
}

fn heading_levels(document: &str) -> Vec<usize> {
    let headings = lines_outside_code(document).filter(|line| line.starts_with('#'));
    headings
        .map(|line| line.chars().take_while(|c| *c == '#').count())
        .collect()
}

/// The numbers in tables, row by row.
fn figures(document: &str) -> Vec<String> {
    let rows = lines_outside_code(document).filter(|line| line.starts_with('|'));
    let digits = |row: &str| -> String {
        let kept = row.chars().map(|c| {
            if c.is_ascii_digit() || c == '.' {
                c
            } else {
                ' '
            }
        });
        kept.collect::<String>()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    rows.map(digits).collect()
}

/// Targets of `[text](target)` outside code.
fn links(document: &str) -> Vec<String> {
    lines_outside_code(document)
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn both_readmes_have_the_same_headings_commands_figures_and_links() {
    let (english, chinese) = (text("README.md"), text("README.zh-CN.md"));
    assert_eq!(
        heading_levels(&english),
        heading_levels(&chinese),
        "headings"
    );
    assert_eq!(commands(&english), commands(&chinese), "commands");
    assert_eq!(figures(&english), figures(&chinese), "figures in tables");
    let elsewhere = |document: &str| -> Vec<String> {
        let all = links(document).into_iter();
        all.filter(|link| !link.starts_with("README") && !link.starts_with('#'))
            .collect()
    };
    assert_eq!(elsewhere(&english), elsewhere(&chinese), "links and images");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = root();
    let mut complaints = Vec::new();
    let top = std::fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let top = top.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let top = top.map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    let folders = ["docs", "crates", "benches", "fuzz", "assets", "notebooks"];
    for document in top.chain(folders.iter().flat_map(|folder| files(folder, ".md"))) {
        let folder = root
            .join(&document)
            .parent()
            .map(Path::to_path_buf)
            .unwrap();
        for link in links(&text(&document)) {
            let file = link.split('#').next().unwrap();
            if !link.contains("://") && !file.is_empty() && !folder.join(file).exists() {
                complaints.push(format!("{document}: {link} is not there"));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn paths_that_documents_name_exist() {
    let root = root();
    let mut complaints = Vec::new();
    for document in [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "README.md",
        "SECURITY.md",
    ] {
        let text = text(document);
        let quoted = lines_outside_code(&text).flat_map(|line| line.split('`').skip(1).step_by(2));
        let rooms = [
            "crates/", "benches/", "fuzz/", "scripts/", "xtask/", "docs/",
        ];
        let named = quoted.filter(|word| rooms.iter().any(|room| word.starts_with(room)));
        // A name in capitals stands for any name, a built page need not be there yet.
        let named = named.filter(|word| !word.contains("NAME") && !word.contains(' '));
        for path in named.filter(|path| !root.join(path).exists()) {
            complaints.push(format!("{document}: {path} is not there"));
        }
    }
    assert_none(&complaints);
}

#[test]
fn the_changelog_keeps_its_form() {
    let changelog = text("CHANGELOG.md");
    let kinds = [
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    ];
    let mut versions = changelog
        .lines()
        .filter_map(|line| line.strip_prefix("## "));
    assert_eq!(
        versions.next(),
        Some("[Unreleased]"),
        "the first version heading"
    );
    for version in versions {
        let dated = version
            .split_once("] - ")
            .is_some_and(|(_, date)| date.len() == 10);
        assert!(
            version.starts_with('[') && dated,
            "'{version}' is not '[x.y.z] - yyyy-mm-dd'"
        );
    }
    for kind in changelog
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
    {
        assert!(
            kinds.contains(&kind),
            "'{kind}' is no kind of change: {kinds:?}"
        );
    }
}
