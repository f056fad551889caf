//! `--resume`: finds the run that was ended, and tells each part of this one how it goes on.

use std::path::{Path, PathBuf};

use onelook::Model;
use onelook::media::{OpenedSource, Source};
use onelook::printable::printable_path;

use super::counter::CounterKeep;
use super::run_state::{RunIdentity, RunState, StateFile};
use super::{RunPlan, Shape};
use crate::console::Console;
use crate::failure::Failure;
use crate::output::{OutputsState, RunDirectory};

/// A run that goes on, or one that may later.
pub struct Resumed {
    pub file: StateFile,
    pub state: RunState,
    directory: PathBuf,
    goes_on: bool,
    /// Made just now.
    created: Option<RunDirectory>,
}

/// The run of the same command that was ended, or a new one.
pub fn find(
    plan: &RunPlan<'_>,
    shape: &Shape,
    model: &Model,
    console: &Console,
) -> Result<Resumed, Failure> {
    let args = plan.args;
    let Some(videos) = &shape.video_files else {
        return Err(Failure::Usage(
            "--resume is for video files that run one after the other: images and live streams have \
             nothing to go on from"
                .to_owned(),
        ));
    };
    if args.save.save_quota.is_some() {
        return Err(Failure::Usage(
            "--resume keeps all that was saved: leave --save-quota out".to_owned(),
        ));
    }
    let model_file = args.model.model.as_deref().map(Path::new);
    let files = videos.iter().map(PathBuf::as_path).chain(model_file);
    // A file may say how objects are tracked: what it says counts.
    let identity = RunIdentity::new(files, &format!("{:?}", plan.tracker));
    let task = model.metadata().task();
    let mut found = None;
    for directory in args.save.run_directories(task, plan.command)? {
        if let Some((file, state)) = StateFile::find(&directory, identity)? {
            found = Some((file, state, directory));
        }
    }
    if let Some((file, state, directory)) = found {
        console.note(format!(
            "going on in {} behind frame {} of video {}",
            printable_path(&directory),
            state.frames(),
            state.index + 1
        ));
        return Ok(Resumed {
            file,
            state,
            directory,
            goes_on: true,
            created: None,
        });
    }
    let created = args.save.run_directory(task, plan.command, true)?;
    let created = created.expect("it is asked for");
    let directory = created.path().to_owned();
    Ok(Resumed {
        file: StateFile::create(&directory, identity)?,
        state: RunState::default(),
        directory,
        goes_on: false,
        created: Some(created),
    })
}

impl Resumed {
    /// The source, from where it goes on.
    pub fn open(&self, plan: &RunPlan<'_>, console: &Console) -> Result<OpenedSource, Failure> {
        let mut options = plan.args.source_options(console);
        options.resume = Some(self.state.position());
        let source = Source::open(&plan.args.source, &options);
        Ok(OpenedSource::InTurn(source.map_err(onelook::Error::from)?))
    }

    /// Where events wait whose receivers are away, unless another place is given: the run that goes on sends them.
    pub fn event_spool(&self) -> PathBuf {
        self.directory.join(".onelook-events")
    }

    /// The run's directory, without what lies behind the last checkpoint, and how its outputs go on.
    pub fn outputs(&mut self) -> Result<(RunDirectory, OutputsState), Failure> {
        let outputs = std::mem::take(&mut self.state.outputs);
        let directory = match self.created.take() {
            Some(directory) => directory,
            None => {
                let position = self.state.index + 1;
                let path: &Path = &self.directory;
                outputs.directory(path.to_owned(), position, self.state.frames())?
            }
        };
        Ok((directory, outputs))
    }

    /// How the counter goes on.
    pub fn counter(&mut self) -> CounterKeep {
        match self.state.counter.take() {
            Some(state) if self.goes_on => CounterKeep::State(state),
            _ => CounterKeep::Anew,
        }
    }
}
