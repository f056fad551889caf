//! The one form of all flags that are true or false.
//!
//! Declarations say only that a field is a `bool`. Here each of them becomes `--name[=BOOL]`, so that
//! none can take its value in some spellings and lose it in others.

use clap::{Arg, ArgAction, Command};

use super::value::boolean;

/// The command with the flags of all fields that are `bool` or `Option<bool>` in that form, those of
/// its subcommands too.
pub fn with_switches(command: Command) -> Command {
    let command = command.mut_args(|arg| match is_declared_boolean(&arg) {
        true => as_switch(arg),
        false => arg,
    });
    command.mut_subcommands(with_switches)
}

/// Whether a flag has the form that [`with_switches`] gives.
pub fn is_switch(arg: &Arg) -> bool {
    let values = arg.get_num_args().map(|count| count.min_values());
    arg.get_action().takes_values() && !arg.is_positional() && values == Some(0)
}

/// The derive gives `bool` the action of a flag without a value, `Option<bool>` the values true and
/// false.
fn is_declared_boolean(arg: &Arg) -> bool {
    let values = arg.get_possible_values();
    let names: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
    matches!(arg.get_action(), ArgAction::SetTrue) || names == ["true", "false"]
}

fn as_switch(arg: Arg) -> Arg {
    let is_off =
        matches!(arg.get_action(), ArgAction::SetTrue) && arg.get_default_values().is_empty();
    let arg = arg
        .action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(boolean)
        .value_name("BOOL");
    match is_off {
        true => arg.default_value("false").hide_default_value(true),
        false => arg,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::cli::declarations;
    use super::super::dialect::normalise;
    use super::*;

    /// Words that the parser requires beside a switch, by command.
    fn required(path: &[String]) -> &'static [&'static str] {
        if path.first().is_some_and(|word| word == "jobs") {
            return &["out"];
        }
        match path.last().map(String::as_str) {
            Some("predict" | "verify") => &["source=a.jpg"],
            Some("count") => &["tracks=a.txt"],
            Some("val") => &["data=a.yaml"],
            Some("track") => &["detections=det.txt"],
            Some("completions") => &["bash"],
            Some("fetch") => &["yolo11n"],
            Some("show") => &["a.pt"],
            _ => &[],
        }
    }

    /// All commands without subcommands of their own, by the words that name them.
    fn commands(command: &Command, path: &[String], found: &mut Vec<(Vec<String>, Command)>) {
        for sub in command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help")
        {
            let path = [path, &[sub.get_name().to_owned()]].concat();
            match sub.has_subcommands() {
                true => commands(sub, &path, found),
                false => found.push((path, sub.clone())),
            }
        }
    }

    /// What the parser makes of the switch `id`, typed as `form` (words between blanks).
    fn parsed(root: &Command, path: &[String], form: &str, id: &str) -> Result<bool, String> {
        let words = path
            .iter()
            .map(String::as_str)
            .chain(required(path).iter().copied());
        let words = ["onelook"].into_iter().chain(words).chain(form.split(' '));
        let words: Vec<OsString> = words.map(OsString::from).collect();
        let words = normalise(root, &words)?;
        let matches = root
            .clone()
            .try_get_matches_from(words)
            .map_err(|error| error.to_string())?;
        let mut matches = &matches;
        while let Some((_, inner)) = matches.subcommand() {
            matches = inner;
        }
        matches
            .get_one::<bool>(id)
            .copied()
            .ok_or_else(|| "no value".to_owned())
    }

    #[test]
    fn every_switch_of_every_command_keeps_its_value_in_every_form() {
        let mut root = declarations();
        root.build();
        let mut found = Vec::new();
        commands(&root, &[], &mut found);
        let spellings = [
            (true, ["True", "true", "TRUE", "1", "yes", "on"]),
            (false, ["False", "false", "FALSE", "0", "no", "off"]),
        ];
        let mut tried = 0;
        for (path, command) in &found {
            for arg in command.get_arguments().filter(|arg| is_switch(arg)) {
                let long = arg.get_long().expect("every switch has a long name");
                let id = arg.get_id().as_str();
                let mut forms = Vec::new();
                let mut names = vec![long.to_owned(), long.replace('-', "_")];
                names.dedup();
                for name in names {
                    forms.extend([(true, name.clone()), (true, format!("--{name}"))]);
                    for no in ["no_", "no-"].map(|no| format!("{no}{name}")) {
                        forms.extend([(false, no.clone()), (false, format!("--{no}"))]);
                    }
                    for (value, words) in spellings {
                        for word in words {
                            forms.extend([
                                (value, format!("{name}={word}")),
                                (value, format!("{name} = {word}")),
                                (value, format!("{name}= {word}")),
                                (value, format!("{name} ={word}")),
                                (value, format!("--{name}={word}")),
                                (value, format!("--{name} {word}")),
                                (!value, format!("no_{name}={word}")),
                                (!value, format!("--no-{name}={word}")),
                                (!value, format!("--no-{name} {word}")),
                            ]);
                        }
                    }
                }
                if let Some(short) = arg.get_short() {
                    forms.push((true, format!("-{short}")));
                    forms.push((true, format!("-{short} True")));
                    forms.push((false, format!("-{short} false")));
                    forms.push((false, format!("-{short}=0")));
                }
                for (expected, form) in forms {
                    assert_eq!(
                        parsed(&root, path, &form, id),
                        Ok(expected),
                        "{path:?} {form}"
                    );
                    tried += 1;
                }
                let last = format!("{long}={} --no-{long}", !arg.is_global_set());
                assert_eq!(
                    parsed(&root, path, &last, id),
                    Ok(false),
                    "the last one counts: {last}"
                );
                assert!(
                    parsed(&root, path, &format!("{long}=maybe"), id).is_err(),
                    "{path:?} {long}"
                );
            }
        }
        assert!(tried > 5000, "only {tried} forms were tried");
    }

    #[test]
    fn no_field_is_left_in_the_form_of_the_derive() {
        let mut root = declarations();
        root.build();
        let mut found = Vec::new();
        commands(&root, &[], &mut found);
        for (path, command) in found {
            for arg in command.get_arguments() {
                let action = arg.get_action();
                let is_boolean = matches!(action, ArgAction::SetTrue | ArgAction::SetFalse);
                assert!(!is_boolean, "{path:?} {}", arg.get_id());
            }
        }
    }
}
