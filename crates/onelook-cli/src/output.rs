//! What happens to predictions: lines, JSON, images, labels, crops, tables. A file per form.
//!
//! Whatever is lost is a failure: only a reader of standard output that goes away ends the printing
//! quietly, and what is being saved goes on.

mod crops;
mod images;
mod json;
mod labels;
mod line;
mod live;
mod mot;
mod predicted;
mod published;
mod run_directory;
mod table;
mod totals;
mod videos;
mod whole_file;

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use onelook::printable::printable_path;
use onelook::types::Metadata;

use crate::console::Console;
use crate::delivery::Delivery;
use crate::failure::Failure;
use crate::flags::InferenceArgs;

pub use json::Recorded;
pub use predicted::{PredictedImage, SequencePosition};
pub use run_directory::RunDirectory;
pub use totals::print_totals;
pub use whole_file::{LineFile, write_whole};

use mot::{MotFiles, MotPlace};
use predicted::Sink;

/// What is told and kept of a run.
pub struct OutputPlan<'a> {
    /// What the flags say.
    pub args: &'a InferenceArgs,
    /// Name of the run's directory, unless another is given.
    pub command: &'static str,
    /// Whether each image and frame is told.
    pub tells_frames: bool,
    /// Whether there may be videos.
    pub has_videos: bool,
    /// Whether objects are tracked.
    pub has_ids: bool,
    /// File of the tracks of one sequence.
    pub mot: Option<&'a Path>,
    /// Whether the tracks of each video are saved.
    pub save_mot: bool,
    /// Other programs that get results.
    pub delivery: Option<Rc<Delivery>>,
}

/// Everything that was asked for.
pub struct Outputs<'a> {
    sinks: Vec<Box<dyn Sink + 'a>>,
    directory: Option<Rc<RunDirectory>>,
    console: &'a Console,
}

impl<'a> Outputs<'a> {
    /// Opens what is asked for; makes the run's directory only if something will be in it.
    pub fn new(
        plan: &OutputPlan<'_>,
        metadata: &'a Metadata,
        console: &'a Console,
    ) -> Result<Self, Failure> {
        let args = &plan.args.save;
        let names = metadata.names.as_slice();
        let mut sinks: Vec<Box<dyn Sink + 'a>> = Vec::new();
        if plan.tells_frames && console.is_json() {
            sinks.push(Box::new(json::JsonLines::new(metadata, console)));
        } else if plan.tells_frames && plan.args.verbose {
            sinks.push(Box::new(line::Lines::new(names, console)));
        }
        if let Some(delivery) = &plan.delivery {
            console.saves_results();
            let tells_objects = plan.has_ids && plan.tells_frames;
            let published = published::Published::new(delivery.clone(), names, tells_objects);
            sinks.push(Box::new(published));
        }
        if plan.args.live.is_given() {
            console.saves_results();
            let ffmpeg = plan.args.video.ffmpeg.as_deref();
            let live = live::Live::start(&plan.args.live, ffmpeg, names, args.style(), console)?;
            sinks.push(Box::new(live));
        }
        if let Some(path) = plan.mot {
            console.saves_results();
            sinks.push(Box::new(MotFiles::new(MotPlace::File(path.to_owned()))));
        }
        let directory = args.run_directory(metadata.task(), plan.command, plan.save_mot)?;
        let directory = directory.map(Rc::new);
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
            if plan.has_videos && (args.save || args.save_frames) {
                sinks.push(Box::new(videos::Videos {
                    directory: directory.clone(),
                    names,
                    style: args.style(),
                    as_video: args.save,
                    as_frames: args.save_frames,
                    ffmpeg: plan.args.video.ffmpeg.clone(),
                    open: BTreeMap::new(),
                    console,
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
                    plan.has_videos,
                    plan.has_ids,
                )?));
            }
            if args.save_json {
                sinks.push(Box::new(json::JsonFile::new(directory, metadata)?));
            }
            if plan.save_mot {
                let place = MotPlace::Directory(directory.clone());
                sinks.push(Box::new(MotFiles::new(place)));
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

    /// Tells every sink, also after one that fails, that no more frames of this sequence will come.
    pub fn end_of(&mut self, sequence: usize) -> Result<(), Failure> {
        let ended = self.sinks.iter_mut().map(|sink| sink.end_of(sequence));
        ended.fold(Ok(()), Result::and)
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
