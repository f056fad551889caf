//! Images and videos through a model: the path that `predict`, `track` and `count` share.
//!
//! A source is opened, its frames run in turn or those of several streams at once, and whatever was asked for
//! is written. One image that cannot be decoded, one stream that is dead is reported when its turn comes; the
//! rest goes on. A signal ends the run after what is in hand.

mod at_once;
mod checkpoints;
mod counter;
mod emitter;
mod in_turn;
mod resume;
mod run_state;
mod sequences;
mod tally;

use std::path::{Path, PathBuf};
use std::time::Duration;

use onelook::media::{OpenedSource, Source};
use onelook::tracking::TrackerSettings;
use onelook::types::Task;
use onelook::vision::analytics::AnalyticsOptions;

use crate::console::Console;
use crate::delivery::Delivery;
use crate::failure::Failure;
use crate::flags::{DeliveryArgs, InferenceArgs};
use crate::output::{OutputPlan, Outputs};
use crate::signals::Interrupt;
use checkpoints::Checkpoints;
use counter::{Counter, CounterKeep};
use emitter::Emitter;
use resume::Resumed;
use tally::Tally;

/// What a command asks for.
pub struct RunPlan<'a> {
    /// Its flags.
    pub args: &'a InferenceArgs,
    /// Its name, which the run's directory has unless another is given.
    pub command: &'static str,
    /// Lowest confidence, unless another is given.
    pub confidence: f32,
    /// Follows the objects of each video, and of images in their order.
    pub tracker: Option<TrackerSettings>,
    /// Images in a second, where they are a sequence.
    pub image_rate: f64,
    /// File of the tracks of one video.
    pub mot: Option<&'a Path>,
    /// Whether the tracks of each video are saved in the run's directory.
    pub save_mot: bool,
    /// Other programs that get events and results.
    pub delivery: Option<&'a DeliveryArgs>,
    /// What is counted.
    pub counting: Option<CountPlan<'a>>,
}

/// What is counted on each video.
pub struct CountPlan<'a> {
    /// Lines and zones; the size of the images is filled in.
    pub options: AnalyticsOptions,
    /// Whether they are drawn into what is saved.
    pub is_drawn: bool,
    /// File of the events.
    pub events: Option<&'a Path>,
}

/// Runs the plan.
pub fn run(plan: &RunPlan<'_>, console: &Console) -> Result<(), Failure> {
    let args = plan.args;
    let opened = Source::open_all(&args.source, &args.source_options(console));
    let opened = opened.map_err(onelook::Error::from)?;
    let shape = Shape::of(&opened);
    plan.check(&shape)?;
    let model = args.model.load(console)?;
    let task = model.metadata().task();
    if plan.tracker.is_some() && task == Task::Classify {
        return Err(Failure::Usage(format!(
            "'{}' is a model for {task}: it finds no objects that could be tracked",
            model.name()
        )));
    }
    console.note(format!(
        "{} on {} ({})",
        model.name(),
        model.device(),
        model.device_reason()
    ));
    let mut resumed = match args.save.resume {
        true => Some(resume::find(plan, &shape, &model, console)?),
        false => None,
    };
    let opened = match &resumed {
        Some(resumed) => resumed.open(plan, console)?,
        None => opened,
    };
    let mut fit = args.fit.clone();
    fit.conf.get_or_insert(plan.confidence);
    let mut pipeline = fit.pipeline(model, console)?;
    let tracker = plan.tracker.map(|tracker| tracker.options);
    pipeline.keep_suppressed(tracker.is_some_and(|it| it.wants_suppressed()));
    // The pipeline may be handed over while outputs name the classes.
    let metadata = pipeline.model().metadata().clone();
    let spool = resumed.as_ref().map(Resumed::event_spool);
    let delivery = plan.delivery.map(|args| Delivery::start(args, spool));
    let delivery = delivery.transpose()?.flatten();
    // Only now: a signal before the first image has nothing to finish.
    let interrupt = Interrupt::install().map_err(|error| {
        Failure::failed("signals", format!("signals cannot be handled: {error}"))
    })?;
    let output_plan = OutputPlan {
        args,
        command: plan.command,
        tells_frames: plan.counting.is_none(),
        has_videos: shape.images.is_none(),
        has_ids: plan.tracker.is_some(),
        mot: plan.mot,
        save_mot: plan.save_mot,
        resumable: resumed.as_mut().map(Resumed::outputs).transpose()?,
        delivery: delivery.clone(),
        interrupt: &interrupt,
    };
    let outputs = Outputs::new(output_plan, &metadata, console)?;
    let counter_keep = resumed
        .as_mut()
        .map_or(CounterKeep::Nothing, Resumed::counter);
    let counter = plan.counting.as_ref();
    let counter = counter.map(|plan| {
        let names = &metadata.names;
        let delivery = delivery.clone();
        Counter::new(plan, names, args.verbose, delivery, console, counter_keep)
    });
    let mut emitter = Emitter {
        console,
        bar: match (&opened, shape.images) {
            (OpenedSource::AtOnce(_), _) => console.status_bar(),
            (OpenedSource::InTurn(_), Some(images)) => console.bar(images, "predicting"),
            (OpenedSource::InTurn(_), None) => console.frame_bar(),
        },
        outputs,
        counter: counter.transpose()?,
        tally: Tally::new(shape.images, shape.entries),
        checkpoints: None,
    };
    let mut sequence = None;
    if let Some(Resumed {
        file, mut state, ..
    }) = resumed
    {
        emitter.tally.resume(state.counts);
        emitter.bar.set_position(state.frames());
        sequence = state.sequence.take();
        let interval = Duration::from_secs_f64(args.save.checkpoint_every);
        emitter.checkpoints = Some(Checkpoints::new(file, interval));
    }
    let done = match opened {
        OpenedSource::InTurn(source) => {
            in_turn::run(source, &pipeline, plan, &interrupt, &mut emitter, sequence)
        }
        OpenedSource::AtOnce(streams) => {
            at_once::run(streams, pipeline, plan, &interrupt, &mut emitter)
        }
    };
    let signal = interrupt.received();
    let finished = emitter.finish(done, signal);
    let delivered = delivery.map_or(Ok(()), |delivery| delivery.finish(signal.is_some()));
    if let (Err(_), Err(failure)) = (&finished, &delivered) {
        // Only one of them ends the command: where events wait is told all the same.
        console.error(failure, None);
    }
    finished.and(delivered)
}

/// What a source consists of.
struct Shape {
    /// Images and videos.
    entries: usize,
    /// How many images, if there is no video.
    images: Option<usize>,
    is_at_once: bool,
    /// The video files, if there is nothing else.
    video_files: Option<Vec<PathBuf>>,
}

impl Shape {
    fn of(opened: &OpenedSource) -> Self {
        match opened {
            OpenedSource::InTurn(source) => Self {
                entries: source.entries(),
                images: source.len_hint(),
                is_at_once: false,
                video_files: source.video_files(),
            },
            OpenedSource::AtOnce(streams) => Self {
                entries: streams.len(),
                images: None,
                is_at_once: true,
                video_files: None,
            },
        }
    }
}

impl RunPlan<'_> {
    fn check(&self, shape: &Shape) -> Result<(), Failure> {
        if self.mot.is_some() && shape.entries > 1 && shape.images.is_none() {
            return Err(Failure::Usage(format!(
                "--mot is for one video, here are {} images and videos: use --save-mot, which saves a file for each",
                shape.entries
            )));
        }
        let goes_out = self.args.live.shows()? || self.args.live.is_given();
        if shape.is_at_once && shape.entries > 1 && goes_out {
            return Err(Failure::Usage(
                "--show, --publish and --hls: several streams at once do not fit into one; pass one source"
                    .to_owned(),
            ));
        }
        if shape.is_at_once && self.args.tile.tile.is_some() {
            return Err(Failure::Usage(
                "--tile: several streams at once cannot be cut into tiles; pass one source"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}
