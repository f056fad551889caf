//! docs/cli.md from the binary's own help, so that the page cannot drift from the flags.

use crate::shell::{Outcome, cargo, read, read_text, root, run, write_text};

const OPENING: &str = "# Command line\n\n\
    Written by `cargo xtask docs` from the binary's own help; do not edit.\n";

/// Writes the page, or with `--check` tells whether it is fresh.
pub fn docs(args: &[String]) -> Outcome {
    run(&mut cargo(&["build", "--locked"]))?;
    let page = page()?;
    let path = root().join("docs/cli.md");
    if args.iter().any(|arg| arg == "--check") {
        return match read_text(&path)? == page {
            true => Ok(()),
            false => Err("docs/cli.md is stale: run cargo xtask docs".to_owned()),
        };
    }
    write_text(&path, &page)
}

fn page() -> Outcome<String> {
    let overview = help(&[])?;
    let mut page = format!("{OPENING}\n```text\n{overview}\n```\n");
    for verb in verbs(&overview) {
        let text = help(&[verb])?;
        page.push_str(&format!("\n## onelook {verb}\n\n```text\n{text}\n```\n"));
    }
    Ok(page)
}

fn help(verb: &[&str]) -> Outcome<String> {
    let mut onelook = cargo(&["run", "--quiet", "--locked", "--"]);
    // Away from a terminal, the help is as wide as COLUMNS says: the same everywhere.
    onelook.args(verb).arg("--help").env("COLUMNS", "100");
    let text = read(&mut onelook)?;
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    Ok(lines.join("\n"))
}

/// The first words of the lines below "Commands:".
fn verbs(overview: &str) -> Vec<&str> {
    overview
        .lines()
        .skip_while(|line| line.trim() != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::verbs;

    #[test]
    fn verbs_are_found_and_wrapped_help_is_not() {
        let overview = "Usage\n\nCommands:\n  predict  Finds objects\n           on images\n  help     Prints\n\nOptions:\n  -h";
        assert_eq!(verbs(overview), ["predict"]);
    }
}
