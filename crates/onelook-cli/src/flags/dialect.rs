//! Two dialects in, one out: `conf=0.25 save_txt` and `--no-rect` become `--conf=0.25 --save-txt=true`
//! and `--rect=false`.
//!
//! Looks up in the commands' own declarations which words are flags, so that there is no second list.
//! What only the Python reference knows is in `reference`.

use std::collections::VecDeque;
use std::ffi::OsString;

use clap::{Arg, Command};

use super::reference::{self, Meaning};
use super::switch::is_switch;
use super::value::boolean;

const TASKS: [&str; 5] = ["detect", "segment", "pose", "classify", "obb"];

/// The name of the command line as a whole.
const ROOT: &str = "onelook";

/// The command when the reference's user names none: `onelook model=a.pt source=b.jpg`.
const DEFAULT_MODE: &str = "predict";

/// The words of the command line in the form that the parser takes; `root` is built.
///
/// # Errors
/// What to use instead of a key or a mode that only the reference has.
pub fn normalise(root: &Command, words: &[OsString]) -> Result<Vec<OsString>, String> {
    let end = words
        .iter()
        .position(|word| word == "--")
        .unwrap_or(words.len());
    let (words, verbatim) = words.split_at(end);
    let mut reader = Reader {
        words: words.iter().cloned().collect(),
        out: Vec::with_capacity(words.len()),
        command: root,
        task: None,
    };
    reader.out.extend(reader.words.pop_front());
    let mode = reader.take_mode()?;
    reader.read_command(mode)?;
    while let Some(word) = reader.words.pop_front() {
        reader.read_flag(word)?;
    }
    // A command that knows no tasks says so itself.
    let task = reader
        .task
        .map(|task| OsString::from(format!("--task={task}")));
    Ok(reader
        .out
        .into_iter()
        .chain(task)
        .chain(verbatim.iter().cloned())
        .collect())
}

struct Reader<'a> {
    words: VecDeque<OsString>,
    out: Vec<OsString>,
    /// The command so far, then the one whose flags follow.
    command: &'a Command,
    task: Option<String>,
}

impl<'a> Reader<'a> {
    /// Takes `mode=predict` out, wherever it stands.
    fn take_mode(&mut self) -> Result<Option<&'a Command>, String> {
        let is_value = |index: usize| {
            let before = self
                .words
                .get(index.wrapping_sub(1))
                .and_then(|word| word.to_str());
            before.is_some_and(|word| {
                word.starts_with('-') && find(self.command, word.trim_start_matches('-')).is_none()
            })
        };
        let is_mode = |word: &OsString| word.to_str().is_some_and(|word| word.starts_with("mode="));
        let place = (0..self.words.len()).find(|&index| {
            let spaced = self.words[index] == "mode"
                && self.words.get(index + 1).is_some_and(|next| next == "=");
            (is_mode(&self.words[index]) || spaced) && !is_value(index)
        });
        let Some(place) = place else {
            return Ok(None);
        };
        let mut rest = self.words.split_off(place);
        let word = rest.pop_front().unwrap_or_default();
        let mut text = word.to_str().unwrap_or_default().to_owned();
        join_equals(&mut text, &mut rest);
        self.words.extend(rest);
        let mode = text.split_once('=').map_or("", |(_, mode)| mode);
        match self.command.find_subcommand(mode) {
            Some(command) => Ok(Some(command)),
            None => Err(reference::unavailable_mode(mode).unwrap_or_else(|| {
                format!("mode={mode}: there is no such command, see `onelook --help`")
            })),
        }
    }

    /// Reads up to the command's name; `mode` is the one of `mode=`.
    fn read_command(&mut self, mode: Option<&'a Command>) -> Result<(), String> {
        while self.command.has_subcommands() {
            let Some(word) = self.words.pop_front() else {
                break;
            };
            let Some(text) = word.to_str() else {
                self.out.push(word);
                continue;
            };
            let is_root = self.command.get_name() == ROOT;
            if text.starts_with('-') && !text.starts_with("--") {
                self.read_short(text);
                continue;
            }
            let mut joined = text.to_owned();
            join_equals(&mut joined, &mut self.words);
            let task = joined
                .strip_prefix("task=")
                .or(TASKS.contains(&text).then_some(text));
            let (key, value) = split(&joined);
            if let Some(command) = self.command.find_subcommand(text) {
                match mode {
                    Some(mode) if mode.get_name() != text => {
                        return Err(format!(
                            "both '{text}' and mode={}: name one",
                            mode.get_name()
                        ));
                    }
                    _ => self.command = command,
                }
                self.out.push(word);
            } else if let Some(task) = task.filter(|_| is_root && self.task.is_none()) {
                if !task.eq_ignore_ascii_case("none") {
                    self.task = Some(task.to_owned());
                }
            } else if find(self.command, key.trim_start_matches('-')).is_some() {
                self.read_flag(joined.into())?;
            } else if let Some(advice) = reference::unavailable_mode(text).filter(|_| is_root) {
                return Err(advice);
            } else if is_root && (mode.is_some() || (value.is_some() && is_key(key))) {
                // A flag of the command: its name was `mode=`, or is left out.
                self.words.push_front(joined.into());
                self.enter(mode);
            } else {
                self.out.push(word);
            }
        }
        if self.command.get_name() == ROOT && mode.is_some() {
            self.enter(mode);
        }
        Ok(())
    }

    fn enter(&mut self, mode: Option<&'a Command>) {
        let default = self.command.find_subcommand(DEFAULT_MODE);
        if let Some(command) = mode.or(default) {
            self.out.push(command.get_name().into());
            self.command = command;
        }
    }

    /// Reads one flag and its value, or a positional word.
    fn read_flag(&mut self, word: OsString) -> Result<(), String> {
        let Some(text) = word.to_str() else {
            self.out.push(word);
            return Ok(());
        };
        if text.starts_with('-') && !text.starts_with("--") && text.len() > 1 {
            self.read_short(text);
            return Ok(());
        }
        let mut text = text.to_owned();
        let is_dashed = text.starts_with("--");
        if !is_dashed {
            join_equals(&mut text, &mut self.words);
        }
        let (key, value) = split(text.trim_start_matches("--"));
        let name = key.replace('_', "-");
        let positive = name
            .strip_prefix("no-")
            .and_then(|name| find(self.command, name));
        if let Some(arg) = find(self.command, &name) {
            self.push(arg, &name, value, is_dashed);
        } else if let Some(arg) = positive.filter(|arg| is_switch(arg)) {
            let value = value.map(str::to_owned).or_else(|| self.take_boolean());
            let negated = boolean(value.as_deref().unwrap_or("true"));
            let value = negated.map_or(value.unwrap_or_default(), |value| (!value).to_string());
            self.out.push(format!("--{}={value}", long(arg)).into());
        } else if let Some(key) = reference::find(&name).filter(|_| is_dashed || value.is_some()) {
            let value = value.map(str::to_owned).or_else(|| match key.is_switch() {
                true => Some(self.take_boolean().unwrap_or_else(|| "true".to_owned())),
                false => self
                    .words
                    .pop_front()
                    .and_then(|next| next.into_string().ok()),
            });
            match key.meaning(&value.unwrap_or_default()) {
                Meaning::Harmless => {}
                Meaning::Flag(flag) => self.out.push(format!("--{flag}").into()),
                Meaning::Refused(advice) => return Err(advice),
            }
        } else if !is_dashed && value.is_some() && is_key(key) && !self.takes_words() {
            // A mistyped key, which the parser refuses with the one that was meant.
            self.out
                .push(format!("--{name}={}", value.unwrap_or_default()).into());
        } else {
            self.out.push(text.into());
        }
        Ok(())
    }

    /// A flag that is declared.
    fn push(&mut self, arg: &Arg, name: &str, value: Option<&str>, is_dashed: bool) {
        let takes_value = arg.get_action().takes_values();
        match value {
            Some(value)
                if value.eq_ignore_ascii_case("none") && takes_value && !accepts_none(arg) => {}
            // The reference's `device=` is its default.
            Some("") if name == "device" => {}
            Some(value) => self.out.push(format!("--{name}={value}").into()),
            None if is_switch(arg) => {
                let value = self.take_boolean().unwrap_or_else(|| "true".to_owned());
                self.out.push(format!("--{name}={value}").into());
            }
            None if is_dashed => {
                self.out.push(format!("--{name}").into());
                // Its value is taken as it is, whatever it looks like.
                if takes_value {
                    self.out.extend(self.words.pop_front());
                }
            }
            None => self.out.push(name.into()),
        }
    }

    fn read_short(&mut self, text: &str) {
        let short = text.chars().nth(1);
        let arg = self
            .command
            .get_arguments()
            .find(|arg| arg.get_short() == short);
        self.out.push(text.into());
        match arg.filter(|_| text.chars().count() == 2) {
            Some(arg) if is_switch(arg) => {
                if let Some(value) = self.take_boolean() {
                    self.out.pop();
                    self.out.push(format!("{text}={value}").into());
                }
            }
            Some(arg) if arg.get_action().takes_values() => self.out.extend(self.words.pop_front()),
            _ => {}
        }
    }

    /// The next word where it is true or false: a value of the switch before it.
    fn take_boolean(&mut self) -> Option<String> {
        let next = self.words.front()?.to_str()?.to_owned();
        boolean(&next).ok()?;
        self.words.pop_front();
        Some(next)
    }

    /// Whether the command takes words that are not flags, such as names of models.
    fn takes_words(&self) -> bool {
        self.command.get_positionals().next().is_some()
    }
}

/// Joins `conf = 0.5`, `conf= 0.5`, `conf =0.5` and `classes=[0, 2]` to one word.
fn join_equals(text: &mut String, words: &mut VecDeque<OsString>) {
    let next = |words: &VecDeque<OsString>, index: usize| {
        words
            .get(index)
            .and_then(|word| word.to_str())
            .map(str::to_owned)
    };
    if is_key(text) {
        match next(words, 0) {
            Some(equals) if equals == "=" => {
                if let Some(value) = next(words, 1) {
                    words.drain(..2);
                    text.push('=');
                    text.push_str(&value);
                }
            }
            Some(value) if value.starts_with('=') => {
                words.pop_front();
                text.push_str(&value);
            }
            _ => {}
        }
    } else if text.strip_suffix('=').is_some_and(is_key)
        && let Some(value) = next(words, 0)
        && !value.contains('=')
        && !value.starts_with('-')
    {
        words.pop_front();
        text.push_str(&value);
    }
    let (_, value) = split(text);
    let closing = match value.and_then(|value| value.chars().next()) {
        Some('[') => ']',
        Some('(') => ')',
        _ => return,
    };
    let end = (0..words.len())
        .find(|&index| next(words, index).is_some_and(|word| word.ends_with(closing)));
    if let Some(end) = end.filter(|_| !text.ends_with(closing)) {
        for word in words.drain(..=end) {
            text.push_str(&word.to_string_lossy());
        }
    }
}

fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (text, None),
    }
}

fn find<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| {
        arg.get_long() == Some(name)
            || arg
                .get_all_aliases()
                .is_some_and(|aliases| aliases.contains(&name))
    })
}

fn long(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_default()
}

/// Whether `none` is a value of its own for this flag, such as no port.
fn accepts_none(arg: &Arg) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().any(|name| name.as_str().ends_with("|none"))
}

/// A word that can be the name of a flag, so that a mistyped one is reported as such.
fn is_key(word: &str) -> bool {
    let mut letters = word.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-')
}

#[cfg(test)]
mod tests;
