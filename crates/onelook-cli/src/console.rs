//! What people and machines see: results on standard output, everything else on standard error.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::process::{ExitCode, exit};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use onelook::registry::FetchEvent;
use serde_json::{Value, json};

use crate::failure::Failure;

/// Where words go, by what was asked for and what the outputs are.
pub struct Console {
    json: bool,
    quiet: bool,
    colour: bool,
    bars: bool,
}

impl Console {
    /// `json` puts values instead of words on standard output; `quiet` leaves out notes and bars.
    pub fn new(json: bool, quiet: bool) -> Self {
        let terminal = stderr().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            json,
            quiet,
            colour: terminal && !no_colour,
            bars: terminal && !json && !quiet,
        }
    }

    /// Whether values are wanted instead of words.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether only what was asked for is wanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether standard error takes colours.
    pub fn has_colour(&self) -> bool {
        self.colour
    }

    /// A line of the result, unless values are wanted.
    pub fn line(&self, text: impl Display) {
        if !self.json {
            write_result(&format!("{text}\n"));
        }
    }

    /// A line that only accompanies the result: not when quiet.
    pub fn detail(&self, text: impl Display) {
        if !self.quiet {
            self.line(text);
        }
    }

    /// A value of the result, on a line of its own, if values are wanted.
    pub fn value(&self, value: &Value) {
        if self.json {
            write_result(&format!("{value}\n"));
        }
    }

    /// A remark on standard error.
    pub fn note(&self, text: impl Display) {
        if !self.quiet && !self.json {
            let _ = writeln!(stderr(), "{text}");
        }
    }

    /// Something that is not as asked, though work goes on; for machines an object with `warning`.
    pub fn warn(&self, text: impl Display) {
        let text = match self.json {
            false => format!("{} {text}", self.painted("warning:", "33")),
            true => json!({"warning": text.to_string()}).to_string(),
        };
        let _ = writeln!(stderr(), "{text}");
    }

    /// A failure on standard error; for machines an object with `error`, and `source` where one
    /// picture of many failed.
    pub fn error(&self, failure: &Failure, source: Option<&str>) {
        let text = match (self.json, source) {
            (false, _) => format!("{} {}", self.painted("error:", "31"), failure.message()),
            (true, None) => json!({"error": error_value(failure)}).to_string(),
            (true, Some(source)) => {
                json!({"error": error_value(failure), "source": source}).to_string()
            }
        };
        let _ = writeln!(stderr(), "{text}");
    }

    /// Reports what ended the command; gives the exit code.
    pub fn fail(&self, failure: &Failure) -> ExitCode {
        self.error(failure, None);
        failure.exit_code()
    }

    /// A bar for `steps` steps; invisible unless standard error is a terminal and there is
    /// something to wait for.
    pub fn bar(&self, steps: usize, what: &'static str) -> ProgressBar {
        if !self.bars || steps < 2 {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(steps as u64);
        bar.set_style(style("{msg} {wide_bar} {pos}/{len} {eta}"));
        bar.set_message(what);
        bar
    }

    /// Tells of a model being fetched.
    pub fn fetching(&self) -> impl FnMut(FetchEvent<'_>) {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if self.bars {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        move |event| match event {
            FetchEvent::Trying { source } => self.note(format!("fetching {source}")),
            FetchEvent::Failed { source, reason } => {
                self.note(format!("could not be fetched from {source}: {reason}"));
            }
            FetchEvent::Progress { done, total } => {
                if let Some(total) = total {
                    bar.set_length(total);
                    bar.set_style(style("{wide_bar} {bytes}/{total_bytes} {eta}"));
                }
                bar.set_position(done);
            }
            FetchEvent::Done { sha256, pinned } => {
                bar.finish_and_clear();
                let known = match pinned {
                    true => "as the registry says",
                    false => "not pinned: the registry does not know this file's hash",
                };
                self.note(format!("sha256 {sha256} ({known})"));
            }
        }
    }

    fn painted(&self, text: &str, colour: &str) -> String {
        match self.colour {
            true => format!("\x1b[1;{colour}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("templates are fixed and valid")
}

fn error_value(failure: &Failure) -> Value {
    json!({"kind": failure.kind(), "message": failure.message()})
}

/// Ends the program when the reader of standard output has gone: nothing is left to do.
pub fn write_result(text: &str) {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(0),
        _ => {}
    }
}
