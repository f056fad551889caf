//! Flags of `onelook serve` from elsewhere: a TOML file whose keys are flags, and variables of the
//! environment, `ONELOOK_SERVE_PORT` for `--port`.
//!
//! What is typed counts first, then variables, then the file, then defaults. All of them are parsed by
//! the same declarations, so that none has rules of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// The command that has a file and variables.
const COMMAND: &str = "serve";

/// How its variables begin.
const PREFIX: &str = "ONELOOK_SERVE_";

/// Flags that make no sense in a file.
const TYPED_ONLY: [&str; 2] = ["config", "check-config"];

/// Least likeness of the key that may have been meant.
const LIKENESS: f64 = 0.7;

/// What a file says: values by the flag's name.
pub type Settings = BTreeMap<String, Vec<String>>;

/// The command line with a variable for each flag of `serve`.
pub fn with_variables(command: Command) -> Command {
    command.mut_subcommand(COMMAND, |serve| {
        serve.mut_args(|arg| match arg.get_long().map(variable) {
            // All of them would make the help twice as long.
            Some(name) if !is_service_link(&name) => arg.env(name).hide_env(true),
            _ => arg,
        })
    })
}

fn variable(long: &str) -> String {
    format!("{PREFIX}{}", long.replace('-', "_").to_uppercase())
}

/// Whether Kubernetes has set the variable, which it does for a service called `onelook-serve`:
/// `ONELOOK_SERVE_PORT=tcp://10.0.0.1:80`, `ONELOOK_SERVE_PORT_80_TCP`, `ONELOOK_SERVE_SERVICE_HOST`.
fn is_service_link(name: &str) -> bool {
    let is_address = || {
        let value = std::env::var_os(name).unwrap_or_default();
        let schemes: [&[u8]; 3] = [b"tcp://", b"udp://", b"sctp://"];
        let value = value.as_encoded_bytes();
        schemes.iter().any(|scheme| value.starts_with(scheme))
    };
    match name.strip_prefix(PREFIX) {
        Some("PORT") => is_address(),
        Some(end) => end.starts_with("PORT_") || end.starts_with("SERVICE_"),
        None => false,
    }
}

/// The variable whose value the parser refuses, if it is one's.
pub fn variable_of(error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let flag = text(ContextKind::InvalidArg)?.strip_prefix("--")?;
    let name = variable(flag.split([' ', '=', '[']).next()?);
    let value = std::env::var(&name).ok()?;
    (text(ContextKind::InvalidValue) == Some(&value)).then_some(name)
}

/// Variables that begin as ours do and are none of them.
pub fn unknown_variables(root: &Command) -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let is_unknown = |name: &String| {
        let flag = name
            .strip_prefix(PREFIX)
            .map(|end| end.replace('_', "-").to_lowercase());
        flag.is_some_and(|flag| flags(root).all(|arg| arg.get_long() != Some(&flag)))
    };
    let names = names.filter(|name| !is_service_link(name));
    names.filter(is_unknown).collect()
}

/// The file of `--config`, if the words or a variable name one.
pub fn named(matches: &ArgMatches) -> Option<&PathBuf> {
    matches.subcommand_matches(COMMAND)?.get_one("config")
}

/// The words with those of the file that nothing typed and no variable overrides.
pub fn with_settings(
    root: &Command,
    matches: &ArgMatches,
    words: &[OsString],
    settings: &Settings,
) -> Vec<OsString> {
    let serve = matches.subcommand_matches(COMMAND);
    let is_free = |arg: &&Arg| {
        let source = serve.and_then(|serve| serve.value_source(arg.get_id().as_str()));
        !matches!(
            source,
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        )
    };
    let mut all = words.to_vec();
    // Behind everything else, so that no word needs to be told from the command's name.
    let end = words.iter().position(|word| word == "--");
    let place = end.unwrap_or(all.len());
    for arg in flags(root).filter(is_free) {
        let long = arg.get_long().unwrap_or_default();
        let values = settings.get(long).into_iter().flatten();
        let own: Vec<OsString> = values
            .map(|value| format!("--{long}={value}").into())
            .collect();
        all.splice(place..place, own);
    }
    all
}

/// What the file says.
///
/// # Errors
/// The file and what is wrong with it.
pub fn read(root: &Command, path: &Path) -> Result<Settings, String> {
    let refused = |reason: String| format!("'{}': {reason}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| refused(error.to_string()))?;
    let mut settings = Settings::new();
    for (key, value) in &table {
        let name = key.replace('_', "-");
        let arg = flags(root).find(|arg| names(arg).any(|own| own == name));
        let arg = arg.filter(|_| !TYPED_ONLY.contains(&name.as_str()));
        let arg = arg.ok_or_else(|| refused(unknown_key(root, key)))?;
        let values = values(value, matches!(arg.get_action(), ArgAction::Append));
        let values = values.map_err(|reason| refused(format!("'{key}': {reason}")))?;
        let long = arg.get_long().unwrap_or_default().to_owned();
        if settings.insert(long, values).is_some() {
            return Err(refused(format!("'{key}' is given twice, in two spellings")));
        }
    }
    Ok(settings)
}

/// The value as it would be typed; several where the flag can be repeated.
fn values(value: &toml::Value, is_repeated: bool) -> Result<Vec<String>, String> {
    match value {
        toml::Value::String(text) => Ok(vec![text.clone()]),
        toml::Value::Integer(number) => Ok(vec![number.to_string()]),
        toml::Value::Float(number) => Ok(vec![number.to_string()]),
        toml::Value::Boolean(is_true) => Ok(vec![is_true.to_string()]),
        toml::Value::Array(items) if is_repeated => {
            let items = items.iter().map(|item| values(item, false));
            Ok(items.collect::<Result<Vec<_>, _>>()?.concat())
        }
        toml::Value::Array(_) => Err("expected one value, not a list".to_owned()),
        toml::Value::Table(_) | toml::Value::Datetime(_) => {
            Err("expected text, a number, true or false".to_owned())
        }
    }
}

fn unknown_key(root: &Command, key: &str) -> String {
    let name = key.replace('_', "-");
    if TYPED_ONLY.contains(&name.as_str()) {
        return format!("'{key}' cannot be a key: it names or checks this file");
    }
    let known = flags(root).flat_map(names);
    let known = known.filter(|known| !TYPED_ONLY.contains(known));
    let likeness = |known: &str| strsim::jaro(known, &name);
    let nearest = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest.filter(|nearest| likeness(nearest) > LIKENESS) {
        Some(nearest) => format!("there is no key '{key}': did you mean '{nearest}'?"),
        None => format!("there is no key '{key}': keys are the flags of `onelook serve --help`"),
    }
}

/// The flags of `serve` itself.
fn flags(root: &Command) -> impl Iterator<Item = &Arg> {
    let serve = root.find_subcommand(COMMAND);
    let args = serve.into_iter().flat_map(Command::get_arguments);
    args.filter(|arg| !arg.is_global_set() && arg.get_long().is_some_and(|long| long != "help"))
}

fn names(arg: &Arg) -> impl Iterator<Item = &str> {
    let aliases = arg.get_all_aliases().unwrap_or_default();
    arg.get_long().into_iter().chain(aliases)
}
