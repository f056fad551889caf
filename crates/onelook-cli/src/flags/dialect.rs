//! Two dialects in, one out: `conf=0.25 save_txt` and `--no-rect` become `--conf=0.25 --save-txt`
//! and `--rect=false`.
//!
//! Looks up in the commands' own declarations which words are flags, so there is no second list.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command, CommandFactory};

use super::cli::Cli;
use super::value::boolean;

const TASKS: [&str; 5] = ["detect", "segment", "pose", "classify", "obb"];

/// The words of the command line in the form that the parser takes.
pub fn normalise(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut root = Cli::command();
    root.build();
    let mut words = words.into_iter().peekable();
    let mut out: Vec<OsString> = words.next().into_iter().collect();
    let mut mode = &root;
    let mut task = None;
    while let Some(word) = words.next() {
        let Some(text) = word.to_str() else {
            out.push(word);
            continue;
        };
        if text == "--" {
            out.push(word);
            break;
        }
        if !mode.has_subcommands() {
            let takes_next = push_flag(mode, text, &mut out);
            if takes_next {
                out.extend(words.next());
            }
        } else if TASKS.contains(&text) && task.is_none() {
            task = Some(word);
        } else {
            mode = mode.find_subcommand(text).unwrap_or(mode);
            out.push(word);
        }
    }
    out.extend(words);
    if let Some(task) = task {
        let mut flag = OsString::from("--task=");
        flag.push(task);
        // A mode that knows no tasks says so itself.
        out.push(flag);
    }
    out
}

/// Pushes one word of a command; true when the next word is its value, whatever it looks like.
fn push_flag(mode: &Command, text: &str, out: &mut Vec<OsString>) -> bool {
    if let Some(name) = text.strip_prefix("--") {
        let (name, value) = split(name);
        let name = name.replace('_', "-");
        if let Some(switch) = negation(mode, &name, value) {
            out.push(switch.into());
            return false;
        }
        push(mode, &name, value, out);
        return value.is_none() && find(mode, &name).is_some_and(needs_value);
    }
    if text.starts_with('-') && text.len() > 1 {
        let short = text.chars().nth(1).filter(|_| text.len() == 2);
        out.push(text.into());
        return short.is_some_and(|short| {
            mode.get_arguments()
                .any(|arg| arg.get_short() == Some(short) && needs_value(arg))
        });
    }
    let (key, value) = split(text);
    let name = key.replace('_', "-");
    if let Some(switch) = negation(mode, &name, value) {
        out.push(switch.into());
        return false;
    }
    match (find(mode, &name), value) {
        (_, Some("None" | "none")) if find(mode, &name).is_some() => {}
        (Some(_), Some(_)) => push(mode, &name, value, out),
        // A bare `save_txt` is a switch that is on.
        (Some(arg), None) if !needs_value(arg) => push(mode, &name, value, out),
        (None, Some(_)) if is_key(key) => push(mode, &name, value, out),
        _ => out.push(text.into()),
    }
    false
}

/// Pushes a flag; one that takes no value at all may still be written as `force=True`.
fn push(mode: &Command, name: &str, value: Option<&str>, out: &mut Vec<OsString>) {
    let is_bare = find(mode, name).is_some_and(|arg| !arg.get_action().takes_values());
    match (value, value.and_then(|value| boolean(value).ok())) {
        (Some(_), Some(true)) if is_bare => out.push(format!("--{name}").into()),
        (Some(_), Some(false)) if is_bare => {}
        (Some(value), _) => out.push(format!("--{name}={value}").into()),
        (None, _) => out.push(format!("--{name}").into()),
    }
}

fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (text, None),
    }
}

/// `no-rect` for a switch `rect` is `rect=false`; `no-rect=false` is `rect=true`.
fn negation(mode: &Command, name: &str, value: Option<&str>) -> Option<String> {
    let flag = name.strip_prefix("no-")?;
    let is_switch = find(mode, flag).is_some_and(|arg| !needs_value(arg));
    let negated = boolean(value.unwrap_or("true")).ok()?;
    (is_switch && find(mode, name).is_none()).then(|| format!("--{flag}={}", !negated))
}

fn find<'a>(mode: &'a Command, name: &str) -> Option<&'a Arg> {
    mode.get_arguments().find(|arg| {
        arg.get_long() == Some(name)
            || arg
                .get_all_aliases()
                .is_some_and(|aliases| aliases.contains(&name))
    })
}

fn needs_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
        && arg
            .get_num_args()
            .is_none_or(|range| range.min_values() > 0)
}

/// A word that can be the name of a flag, so that a mistyped one is reported as such.
fn is_key(word: &str) -> bool {
    let mut letters = word.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-')
        && !OsStr::new(word).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(typed: &str, expected: &str) {
        let words = typed.split(' ').map(OsString::from);
        let expected: Vec<OsString> = expected.split(' ').map(OsString::from).collect();
        assert_eq!(normalise(words), expected, "{typed}");
    }

    #[test]
    fn both_dialects_mean_the_same() {
        let expected = "onelook predict --model=yolo11n.pt --source=bus.jpg --conf=0.25";
        check(
            "onelook predict model=yolo11n.pt source=bus.jpg conf=0.25",
            expected,
        );
        check(
            "onelook predict --model=yolo11n.pt --source=bus.jpg --conf=0.25",
            expected,
        );
        check(
            "onelook predict --model yolo11n.pt --source bus.jpg",
            "onelook predict --model yolo11n.pt --source bus.jpg",
        );
    }

    #[test]
    fn a_task_before_the_mode_is_accepted() {
        check(
            "onelook detect predict model=a.pt",
            "onelook predict --model=a.pt --task=detect",
        );
    }

    #[test]
    fn switches_are_on_off_or_negated() {
        check("onelook predict save_txt", "onelook predict --save-txt");
        check("onelook predict rect=False", "onelook predict --rect=False");
        check("onelook predict --no-rect", "onelook predict --rect=false");
        check(
            "onelook predict --rect false",
            "onelook predict --rect false",
        );
        check("onelook predict --no_save", "onelook predict --save=false");
        check("onelook predict no_save", "onelook predict --save=false");
        check(
            "onelook predict no_save=False",
            "onelook predict --save=true",
        );
    }

    #[test]
    fn a_value_is_never_taken_for_a_flag() {
        check(
            "onelook predict --source conf=1.jpg --model a=b.pt",
            "onelook predict --source conf=1.jpg --model a=b.pt",
        );
        check(
            "onelook predict source=a=b.jpg",
            "onelook predict --source=a=b.jpg",
        );
        check(
            "onelook predict classes=[0,2]",
            "onelook predict --classes=[0,2]",
        );
        check("onelook predict classes=None", "onelook predict");
    }

    #[test]
    fn a_mistyped_key_becomes_a_flag_that_the_parser_refuses() {
        check("onelook predict confg=0.3", "onelook predict --confg=0.3");
    }

    #[test]
    fn words_of_commands_with_names_are_left_alone() {
        check(
            "onelook models fetch yolo11n",
            "onelook models fetch yolo11n",
        );
        check("onelook completions bash", "onelook completions bash");
    }
}
