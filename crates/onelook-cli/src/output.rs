//! What happens to predictions: lines, JSON, images, labels, crops, tables. A file per form.
//!
//! Whatever is lost is a failure: only a reader of standard output that goes away ends the printing
//! quietly, and what is being saved goes on.

mod crops;
mod images;
mod json;
mod labels;
mod line;
mod predicted;
mod run_directory;
mod table;
mod videos;
mod whole_file;

use std::rc::Rc;

use onelook::printable::printable_path;
use onelook::types::Metadata;

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::{SaveArgs, VideoArgs};

pub use json::Recorded;
pub use predicted::PredictedImage;
pub use run_directory::RunDirectory;
pub use whole_file::{LineFile, write_whole};

use predicted::Sink;

/// Everything that was asked for.
pub struct Outputs<'a> {
    sinks: Vec<Box<dyn Sink + 'a>>,
    directory: Option<Rc<RunDirectory>>,
    console: &'a Console,
}

impl<'a> Outputs<'a> {
    /// Opens what the flags ask for; makes the run's directory only if something will be in it. `videos`
    /// says how to read videos, where there are any.
    pub fn new(
        args: &SaveArgs,
        metadata: &'a Metadata,
        verbose: bool,
        videos: Option<&VideoArgs>,
        console: &'a Console,
    ) -> Result<Self, Failure> {
        let names = metadata.names.as_slice();
        let mut sinks: Vec<Box<dyn Sink + 'a>> = Vec::new();
        if console.is_json() {
            sinks.push(Box::new(json::JsonLines::new(metadata, console)));
        } else if verbose {
            sinks.push(Box::new(line::Lines::new(names, console)));
        }
        let directory = args.run_directory(metadata.task())?.map(Rc::new);
        if let Some(directory) = &directory {
            console.saves_results();
            if args.save {
                let style = args.style();
                sinks.push(Box::new(images::Images::new(
                    directory.clone(),
                    names,
                    style,
                )));
            }
            if let Some(video) = videos.filter(|_| args.save || args.save_frames) {
                sinks.push(Box::new(videos::Videos {
                    directory: directory.clone(),
                    names,
                    style: args.style(),
                    as_video: args.save,
                    as_frames: args.save_frames,
                    ffmpeg: video.ffmpeg.clone(),
                    open: None,
                }));
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
                sinks.push(Box::new(table::Table::new(
                    directory,
                    names,
                    videos.is_some(),
                )?));
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

    /// Hands one image to every sink.
    pub fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure> {
        self.sinks.iter_mut().try_for_each(|sink| sink.write(image))
    }

    /// Closes every sink, also after one that fails, and tells where files are. `complete` is whether
    /// there was no more to come.
    pub fn finish(&mut self, complete: bool) -> Result<(), Failure> {
        let finished = self.sinks.iter_mut().map(|sink| sink.finish(complete));
        finished.fold(Ok(()), Result::and)?;
        match &self.directory {
            Some(directory) => {
                let path = printable_path(directory.path());
                self.console.line(format!("Results saved to {path}"))
            }
            None => Ok(()),
        }
    }
}
