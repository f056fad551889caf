//! What people and machines see: results on standard output, everything else on standard error.
//!
//! A result that cannot be written is a failure. Only a reader that has gone away is none: the
//! command ends in silence, or goes on in silence when it saves something. Control characters of
//! names never reach a terminal.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use onelook::printable::{printable, printable_lines, printable_path};
use onelook::registry::FetchEvent;
use serde_json::{Value, json};

use crate::failure::Failure;

/// Where words go, by what was asked for and what the outputs are.
pub struct Console {
    json: bool,
    quiet: bool,
    colour: bool,
    bars: bool,
    /// Whether something is saved, which goes on when the reader of standard output has gone.
    saves: Cell<bool>,
    /// Whether that reader has gone.
    closed: Cell<bool>,
    /// What takes the lines for standard error, if they must not be waited for.
    stderr: RefCell<Option<Box<dyn Write>>>,
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
            saves: Cell::new(false),
            closed: Cell::new(false),
            stderr: RefCell::new(None),
        }
    }

    /// Whether values are wanted instead of words.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether standard error takes colours.
    pub fn has_colour(&self) -> bool {
        self.colour
    }

    /// Says that the command saves something, which must not end with the reader of its lines.
    pub fn saves_results(&self) {
        self.saves.set(true);
    }

    /// Has lines for standard error written through this from now on.
    pub fn write_stderr_through(&self, writer: impl Write + 'static) {
        *self.stderr.borrow_mut() = Some(Box::new(writer));
    }

    /// A line on standard error. Where that cannot be written, there is nobody to tell.
    fn say(&self, text: &str) {
        let _ = match self.stderr.borrow_mut().as_mut() {
            Some(writer) => writer.write_all(format!("{text}\n").as_bytes()),
            None => writeln!(stderr(), "{text}"),
        };
    }

    /// A line of the result, unless values are wanted.
    pub fn line(&self, text: impl Display) -> Result<(), Failure> {
        match self.json {
            true => Ok(()),
            false => self.print(&format!("{}\n", printable_lines(&text.to_string()))),
        }
    }

    /// A line that only accompanies the result: not when quiet.
    pub fn detail(&self, text: impl Display) -> Result<(), Failure> {
        match self.quiet {
            true => Ok(()),
            false => self.line(text),
        }
    }

    /// A value of the result, on a line of its own, if values are wanted.
    pub fn value(&self, value: &Value) -> Result<(), Failure> {
        match self.json {
            true => self.print(&format!("{value}\n")),
            false => Ok(()),
        }
    }

    /// Text of the program's own on standard output, as it is.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        if self.closed.get() {
            return Ok(());
        }
        let mut out = stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        self.settle(written)
    }

    fn settle(&self, written: io::Result<()>) -> Result<(), Failure> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed.set(true);
                match self.saves.get() {
                    true => Ok(()),
                    false => Err(Failure::ReaderGone),
                }
            }
            Err(error) => Err(Failure::failed("file", format!("standard output: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    /// Answers words that do not make a command: the help or version that they ask for, or what is
    /// wrong with them.
    pub fn answer(&self, error: &clap::Error) -> ExitCode {
        let failure = Failure::typed(error);
        if !error.use_stderr() {
            let written = error.print().and_then(|()| stdout().flush());
            return self
                .settle(written)
                .map_or_else(|failure| self.fail(&failure), |()| ExitCode::SUCCESS);
        }
        // The parser repeats what was typed, such as the file names that a glob stands for.
        let is_hostile = |word: &str| printable(word) != word;
        if self.json || std::env::args_os().any(|word| is_hostile(&word.to_string_lossy())) {
            return self.fail(&failure);
        }
        let _ = error.print();
        failure.exit_code()
    }

    /// A remark on standard error.
    pub fn note(&self, text: impl Display) {
        if !self.quiet && !self.json {
            self.say(&printable_lines(&text.to_string()));
        }
    }

    /// Something that is not as asked, though work goes on; for machines an object with `warning`.
    pub fn warn(&self, text: impl Display) {
        self.say(&warning(self.json, self.colour, &text.to_string()));
    }

    /// The same for threads that outlive a borrow of this.
    pub fn detached_warning(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let (json, colour) = (self.json, self.colour);
        move |text| {
            let _ = writeln!(stderr(), "{}", warning(json, colour, text));
        }
    }

    /// A failure on standard error; for machines an object with `error`, and `source` where one
    /// image of many failed.
    pub fn error(&self, failure: &Failure, source: Option<&str>) {
        let text = match (self.json, source) {
            (false, _) => {
                let message = printable_lines(failure.message());
                format!("{} {message}", self.painted("error:", "31"))
            }
            (true, None) => json!({"error": error_value(failure)}).to_string(),
            (true, Some(source)) => {
                json!({"error": error_value(failure), "source": source}).to_string()
            }
        };
        self.say(&text);
    }

    /// Reports what ended the command; gives the exit code.
    pub fn fail(&self, failure: &Failure) -> ExitCode {
        if !matches!(failure, Failure::ReaderGone) {
            self.error(failure, None);
        }
        if let Some(writer) = self.stderr.borrow_mut().as_mut() {
            // The process ends: what was not written by now never will be.
            let _ = writer.flush();
        }
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

    /// A bar for frames, of which it is only told later how many there are.
    pub fn frame_bar(&self) -> ProgressBar {
        if !self.bars {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::no_length();
        bar.set_style(style("{msg} {wide_bar} {pos}/{len} {per_sec} {eta}"));
        bar.set_message("predicting");
        bar
    }

    /// A line for what has become of streams that have no end.
    pub fn status_bar(&self) -> ProgressBar {
        if !self.bars {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::no_length();
        bar.set_style(style("{spinner} {wide_msg}"));
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
            FetchEvent::Damaged { path, flaw } => self.warn(format!(
                "'{}' in the cache cannot be used ({flaw}): it is fetched again",
                printable_path(path)
            )),
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
        painted(self.colour, text, colour)
    }
}

fn painted(is_colourful: bool, text: &str, colour: &str) -> String {
    match is_colourful {
        true => format!("\x1b[1;{colour}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

fn warning(is_json: bool, is_colourful: bool, text: &str) -> String {
    match is_json {
        true => json!({"warning": text}).to_string(),
        false => {
            let sign = painted(is_colourful, "warning:", "33");
            format!("{sign} {}", printable_lines(text))
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("templates are fixed and valid")
}

fn error_value(failure: &Failure) -> Value {
    json!({"kind": failure.kind(), "message": failure.message()})
}
