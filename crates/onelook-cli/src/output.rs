//! What happens to predictions: lines, JSON, images, labels, crops, tables. A file per form.
//!
//! Whatever is lost is a failure: only a reader of standard output that goes away ends the printing
//! quietly, and what is being saved goes on.

mod crops;
mod cut_back;
mod images;
mod json;
mod labels;
mod line;
mod live;
mod mot;
mod predicted;
mod published;
mod quota;
mod run_directory;
mod seen_ids;
mod table;
mod totals;
mod videos;
mod whole_file;
mod window;

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use onelook::printable::printable_path;
use onelook::types::Metadata;

use serde::{Deserialize, Serialize};

use crate::console::Console;
use crate::delivery::Delivery;
use crate::failure::Failure;
use crate::flags::InferenceArgs;
use crate::signals::Interrupt;

pub use json::Recorded;
pub use predicted::{PredictedImage, SequencePosition};
pub use run_directory::RunDirectory;
pub use totals::print_totals;
pub use whole_file::{LineFile, LineFileState, write_whole};

use cut_back::cut_back;
use mot::{MotFiles, MotPlace};
use predicted::{Keep, Sink, SinkState};

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
    /// The directory of a run that may go on in another program, and what one has kept of it.
    pub resumable: Option<(RunDirectory, OutputsState)>,
    /// Other programs that get results.
    pub delivery: Option<Rc<Delivery>>,
    /// Ends the run when its window is closed.
    pub interrupt: &'a Interrupt,
}

/// How outputs go on in another program.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct OutputsState {
    /// What the files of each video are called.
    videos: BTreeMap<usize, String>,
    sinks: BTreeMap<String, SinkState>,
}

impl OutputsState {
    /// The directory of these outputs, where all that they do not know of is taken away: the video at
    /// `position` has so many `frames`.
    pub fn directory(
        &self,
        path: PathBuf,
        position: usize,
        frames: u64,
    ) -> Result<RunDirectory, Failure> {
        let videos = self.sinks.values().flat_map(|sink| sink.videos.values());
        let parts = videos.flat_map(|video| &video.parts);
        let names = parts.filter_map(|part| part.path.file_name());
        let kept = names.map(OsStr::to_owned).collect();
        let stem = self.videos.get(&position).map(String::as_str);
        cut_back(&path, &kept, stem, frames)?;
        Ok(RunDirectory::resume(path, &self.videos))
    }
}

/// Everything that was asked for.
pub struct Outputs<'a> {
    sinks: Vec<(&'static str, Box<dyn Sink + 'a>)>,
    directory: Option<Rc<RunDirectory>>,
    console: &'a Console,
}

impl<'a> Outputs<'a> {
    /// Opens what is asked for; makes the run's directory only if something will be in it.
    pub fn new(
        plan: OutputPlan<'_>,
        metadata: &'a Metadata,
        console: &'a Console,
    ) -> Result<Self, Failure> {
        let args = &plan.args.save;
        let names = metadata.names.as_slice();
        let mut sinks: Vec<(&'static str, Box<dyn Sink + 'a>)> = Vec::new();
        let (resumed, mut state) = match plan.resumable {
            Some((directory, state)) => (Some(directory), Some(state)),
            None => (None, None),
        };
        let mut keep = |name: &str| match &mut state {
            Some(state) => Keep::State(state.sinks.remove(name).unwrap_or_default()),
            None => Keep::Nothing,
        };
        if plan.tells_frames && console.is_json() {
            sinks.push(("lines", Box::new(json::JsonLines::new(metadata, console))));
        } else if plan.tells_frames && plan.args.verbose {
            sinks.push(("lines", Box::new(line::Lines::new(names, console))));
        }
        if let Some(delivery) = &plan.delivery {
            console.saves_results();
            let tells_objects = plan.has_ids && plan.tells_frames;
            let (delivery, keep) = (delivery.clone(), keep("published"));
            let published = published::Published::new(delivery, names, tells_objects, keep);
            sinks.push(("published", Box::new(published)));
        }
        if plan.args.live.is_given() {
            console.saves_results();
            let ffmpeg = plan.args.video.ffmpeg.as_deref();
            let live = live::Live::start(&plan.args.live, ffmpeg, names, args.style(), console)?;
            sinks.push(("live", Box::new(live)));
        }
        if plan.args.live.shows()? {
            let ffmpeg = plan.args.video.ffmpeg.as_deref();
            let plan = window::WindowPlan {
                ffmpeg,
                stays: !plan.has_videos,
                names,
                style: args.style(),
                interrupt: plan.interrupt,
                console,
            };
            sinks.push(("window", Box::new(window::ShownWindow::open(plan)?)));
        }
        if let Some(path) = plan.mot {
            console.saves_results();
            let place = MotPlace::File(path.to_owned());
            sinks.push(("mot", Box::new(MotFiles::new(place, keep("mot"))?)));
        }
        let directory = match resumed {
            Some(directory) => Some(directory),
            None => args.run_directory(metadata.task(), plan.command, plan.save_mot)?,
        };
        let directory = directory.map(|it| Rc::new(it.with_quota(args.save_quota)));
        if let Some(directory) = &directory {
            console.saves_results();
            if args.save {
                let style = args.style();
                let images = images::Images::new(directory.clone(), names, style);
                sinks.push(("images", Box::new(images)));
            }
            if plan.has_videos && (args.save || args.save_frames) {
                let videos = videos::VideosPlan {
                    directory: directory.clone(),
                    names,
                    style: args.style(),
                    as_video: args.save,
                    as_frames: args.save_frames,
                    ffmpeg: plan.args.video.ffmpeg.clone(),
                    longest: args.longest_video(),
                    console,
                };
                let videos = videos::Videos::new(videos, keep("videos"))?;
                sinks.push(("videos", Box::new(videos)));
            }
            if args.save_txt {
                let labels = labels::Labels::new(directory.clone(), args.save_conf)?;
                sinks.push(("labels", Box::new(labels)));
            }
            if args.save_crop {
                let crops = crops::Crops::new(directory.clone(), names);
                sinks.push(("crops", Box::new(crops)));
            }
            if args.save_csv {
                let columns = (plan.has_videos, plan.has_ids);
                let table = table::Table::new(directory, names, columns, keep("table"))?;
                sinks.push(("table", Box::new(table)));
            }
            if args.save_json {
                let file = json::JsonFile::new(directory, metadata, keep("json"))?;
                sinks.push(("json", Box::new(file)));
            }
            if plan.save_mot {
                let place = MotPlace::Directory(directory.clone());
                sinks.push(("tracks", Box::new(MotFiles::new(place, keep("tracks"))?)));
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
        let mut sinks = self.sinks.iter_mut();
        sinks.try_for_each(|(_, sink)| sink.write(image))
    }

    /// Has everything on the disk, and tells how to go on from here.
    pub fn checkpoint(&mut self) -> Result<OutputsState, Failure> {
        let sinks = self.sinks.iter_mut();
        let sinks = sinks.map(|(name, sink)| Ok(((*name).to_owned(), sink.checkpoint()?)));
        let directory = self.directory.as_ref();
        Ok(OutputsState {
            sinks: sinks.collect::<Result<_, Failure>>()?,
            videos: directory.map_or_else(BTreeMap::new, |it| it.video_names()),
        })
    }

    /// Removes what encoders of killed programs have begun behind the last checkpoint, also after it was gone
    /// on from.
    pub fn remove_leftovers(&self) -> Result<(), Failure> {
        let directory = self.directory.as_ref();
        directory.map_or(Ok(()), |it| cut_back(it.path(), &HashSet::new(), None, 0))
    }

    /// Takes note that the last checkpoint is kept.
    pub fn discard_older(&mut self) {
        for (_, sink) in &mut self.sinks {
            sink.discard_older();
        }
    }

    /// Tells every sink, also after one that fails, that no more frames of this sequence will come.
    pub fn end_of(&mut self, sequence: usize) -> Result<(), Failure> {
        let ended = self.sinks.iter_mut().map(|(_, sink)| sink.end_of(sequence));
        ended.fold(Ok(()), Result::and)
    }

    /// Closes every sink, also after one that fails, and tells where files are. `complete` is whether
    /// there was no more to come.
    pub fn finish(&mut self, complete: bool) -> Result<(), Failure> {
        let finished = self.sinks.iter_mut().map(|(_, sink)| sink.finish(complete));
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
