//! What happens to predictions: lines, JSON, pictures, labels, crops, tables. A file per form.

mod crops;
mod json;
mod labels;
mod line;
mod pictures;
mod run_directory;
mod table;

use std::rc::Rc;
use std::time::Duration;

use onelook::Prediction;
use onelook::printable::printable_path;
use onelook::types::{Frame, Metadata};

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::SaveArgs;

pub use json::Recorded;
pub use run_directory::RunDirectory;

/// One picture and what was found on it.
pub struct Seen<'a> {
    /// Its position from 1, and how many there are.
    pub position: [usize; 2],
    /// Path or address.
    pub source: &'a str,
    /// The pixels.
    pub frame: &'a Frame,
    /// What was found.
    pub prediction: &'a Prediction,
    /// Time of decoding.
    pub decode: Duration,
}

/// Where predictions go.
pub trait Sink {
    /// Takes what was found on one picture.
    fn accept(&mut self, seen: &Seen<'_>) -> Result<(), Failure>;

    /// Takes note that no more will come.
    fn finish(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Everything that was asked for.
pub struct Outputs<'a> {
    sinks: Vec<Box<dyn Sink + 'a>>,
    directory: Option<Rc<RunDirectory>>,
    console: &'a Console,
}

impl<'a> Outputs<'a> {
    /// Opens what the flags ask for; makes the run's directory only if something will be in it.
    pub fn new(
        args: &SaveArgs,
        metadata: &'a Metadata,
        verbose: bool,
        console: &'a Console,
    ) -> Result<Self, Failure> {
        let names = metadata.names.as_slice();
        let mut sinks: Vec<Box<dyn Sink + 'a>> = Vec::new();
        if console.is_json() {
            sinks.push(Box::new(json::JsonLines::new(metadata, console)));
        } else if verbose {
            sinks.push(Box::new(line::Lines::new(names, console)));
        }
        let directory = args.run_directory(metadata.task)?.map(Rc::new);
        if let Some(directory) = &directory {
            console.saves_results();
            if args.save {
                let style = args.style();
                sinks.push(Box::new(pictures::Pictures::new(
                    directory.clone(),
                    names,
                    style,
                )));
            }
            if args.save_txt {
                sinks.push(Box::new(labels::Labels::new(
                    directory.clone(),
                    args.save_conf,
                )?));
            }
            if args.save_crop {
                sinks.push(Box::new(crops::Crops::new(directory.clone(), names)));
            }
            if args.save_csv {
                sinks.push(Box::new(table::Table::new(directory, names)?));
            }
            if args.save_json {
                sinks.push(Box::new(json::JsonFile::new(directory, metadata)?));
            }
        }
        Ok(Self {
            sinks,
            directory,
            console,
        })
    }

    /// Hands one picture to every sink.
    pub fn accept(&mut self, seen: &Seen<'_>) -> Result<(), Failure> {
        self.sinks.iter_mut().try_for_each(|sink| sink.accept(seen))
    }

    /// Closes every sink and tells where files are.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.sinks.iter_mut().try_for_each(|sink| sink.finish())?;
        if let Some(directory) = &self.directory {
            let place = printable_path(directory.path());
            self.console.line(format!("Results saved to {place}"))?;
        }
        Ok(())
    }
}
