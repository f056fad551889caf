//! `onelook predict`: pictures in, boxes out, in the order of the pictures.
//!
//! The next pictures are decoded while the network runs. One that cannot be decoded is reported
//! when its turn comes; the rest goes on.

pub mod load;

use std::time::Duration;

use indicatif::ProgressBar;
use onelook::media::{Limits, Source, SourceOptions};
use onelook::{Pipeline, Speed};

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::PredictArgs;
use crate::output::{Outputs, Seen};
use load::{Loaded, load_ahead};

pub fn run(args: &PredictArgs, console: &Console) -> Result<(), Failure> {
    let limits = args.limits.limits();
    let source =
        Source::open(&args.source, &source_options(&limits)).map_err(onelook::Error::from)?;
    let model = args.model.load(console)?;
    console.note(format!(
        "{} on {} ({})",
        model.name(),
        model.device(),
        model.device_reason()
    ));
    let pipeline = args.fit.pipeline(model, console)?;
    let outputs = Outputs::new(
        &args.save,
        pipeline.model().metadata(),
        args.verbose,
        console,
    )?;
    let mut run = Run {
        pipeline: &pipeline,
        console,
        bar: console.bar(source.len(), "predicting"),
        outputs,
        tally: Tally {
            total: source.len(),
            ..Tally::default()
        },
    };
    run.all(source, limits)?;
    run.bar.finish_and_clear();
    run.tally.summary(console)?;
    run.outputs.finish()?;
    run.tally.outcome()
}

/// Pictures may come from addresses, which the user's own client fetches.
pub fn source_options(limits: &Limits) -> SourceOptions {
    SourceOptions {
        max_bytes: limits.max_bytes,
        fetch: Some(std::sync::Arc::new(|url: &str, max_bytes: u64| {
            onelook::registry::get(url, max_bytes)
        })),
    }
}

struct Run<'a> {
    pipeline: &'a Pipeline,
    console: &'a Console,
    bar: ProgressBar,
    outputs: Outputs<'a>,
    tally: Tally,
}

impl Run<'_> {
    fn all(&mut self, source: Source, limits: Limits) -> Result<(), Failure> {
        let batch = self.pipeline.options().batch;
        std::thread::scope(|scope| {
            let mut waiting = Vec::with_capacity(batch);
            for picture in load_ahead(scope, source, batch, limits) {
                waiting.push(picture);
                if waiting.len() == batch {
                    self.batch(&mut waiting)?;
                }
            }
            self.batch(&mut waiting)
        })
    }

    fn batch(&mut self, waiting: &mut Vec<Loaded>) -> Result<(), Failure> {
        let mut frames = Vec::with_capacity(waiting.len());
        let mut turns = Vec::with_capacity(waiting.len());
        for picture in waiting.drain(..) {
            let place = picture.frame.map(|frame| {
                frames.push(frame);
                frames.len() - 1
            });
            turns.push((picture.name, picture.decode, place));
        }
        let predictions = self.pipeline.predict(&frames)?;
        for (name, decode, place) in turns {
            self.bar.inc(1);
            self.tally.position += 1;
            match place {
                Ok(place) => {
                    let seen = Seen {
                        position: [self.tally.position, self.tally.total],
                        source: &name,
                        frame: &frames[place],
                        prediction: &predictions[place],
                        decode,
                    };
                    self.tally.add(&seen);
                    let outputs = &mut self.outputs;
                    self.bar.suspend(|| outputs.accept(&seen))?;
                }
                Err(error) => {
                    self.tally.failed += 1;
                    let failure = Failure::from(error);
                    self.bar
                        .suspend(|| self.console.error(&failure, Some(&name)));
                }
            }
        }
        Ok(())
    }
}

/// What the pictures came to.
#[derive(Default)]
struct Tally {
    position: usize,
    total: usize,
    failed: usize,
    speed: Speed,
    input: [usize; 2],
}

impl Tally {
    fn add(&mut self, seen: &Seen<'_>) {
        let speed = &seen.prediction.speed;
        self.speed.preprocess += speed.preprocess;
        self.speed.inference += speed.inference;
        self.speed.postprocess += speed.postprocess;
        self.input = seen.prediction.input;
    }

    fn summary(&self, console: &Console) -> Result<(), Failure> {
        let done = self.position - self.failed;
        if done == 0 {
            return Ok(());
        }
        let mean = |total: Duration| total.as_secs_f64() * 1e3 / done as f64;
        let [height, width] = self.input;
        console.detail(format!(
            "Speed: {:.1}ms preprocess, {:.1}ms inference, {:.1}ms postprocess per image at shape (1, 3, {height}, {width})",
            mean(self.speed.preprocess),
            mean(self.speed.inference),
            mean(self.speed.postprocess),
        ))
    }

    fn outcome(&self) -> Result<(), Failure> {
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::failed(
                "picture",
                format!(
                    "{failed} of {} pictures could not be used, see above",
                    self.total
                ),
            )),
        }
    }
}
