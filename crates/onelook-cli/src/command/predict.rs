//! `onelook predict`: images in, boxes out, in the order of the images.
//!
//! The source decodes the next images while the network runs. One that cannot be decoded is reported
//! when its turn comes; the rest goes on. A signal ends the run after the batch in hand.

use std::time::Duration;

use indicatif::ProgressBar;
use onelook::media::{Limits, Source, SourceFrame, SourceOptions};
use onelook::{Pipeline, Speed, Tiling};

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::PredictArgs;
use crate::output::{Outputs, PredictedImage};
use crate::signals::Interrupt;

pub fn run(args: &PredictArgs, console: &Console) -> Result<(), Failure> {
    let mut options = source_options(&args.limits.limits());
    let batch = args.fit.batch.unwrap_or(1);
    options.images_ahead = options.images_ahead.max(batch.saturating_mul(2));
    let source = Source::open(&args.source, &options).map_err(onelook::Error::from)?;
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
    // Only now: a signal before the first image has nothing to finish.
    let interrupt = Interrupt::install().map_err(|error| {
        Failure::failed("signals", format!("signals cannot be handled: {error}"))
    })?;
    let stop = source.stop_handle();
    interrupt.then(move || stop.stop());
    let total = source.len_hint();
    let mut run = Run {
        pipeline: &pipeline,
        tiling: args.tile.tiling(args.fit.agnostic_nms),
        console,
        bar: console.bar(total.unwrap_or_default(), "predicting"),
        outputs,
        interrupt,
        tally: Tally {
            total,
            ..Tally::default()
        },
    };
    let predicted = run.all(source);
    run.bar.finish_and_clear();
    // What was predicted before a failure is kept; the first failure is the one to tell.
    let summary = run.tally.summary();
    let told = summary.map_or(Ok(()), |summary| console.detail(summary));
    let saved = run.outputs.finish();
    predicted.and(told).and(saved)?;
    match run.interrupt.received() {
        Some(signal) => Err(run.tally.interrupted(signal)),
        None => run.tally.outcome(),
    }
}

/// Images may come from addresses, which the user's own client fetches.
pub fn source_options(limits: &Limits) -> SourceOptions {
    SourceOptions {
        limits: *limits,
        fetch: Some(std::sync::Arc::new(|url: &str, max_bytes: u64| {
            onelook::registry::get(url, max_bytes)
        })),
        ..SourceOptions::default()
    }
}

struct Run<'a> {
    pipeline: &'a Pipeline,
    tiling: Option<Tiling>,
    console: &'a Console,
    bar: ProgressBar,
    outputs: Outputs<'a>,
    interrupt: Interrupt,
    tally: Tally,
}

impl Run<'_> {
    fn all(&mut self, source: Source) -> Result<(), Failure> {
        let in_flight = self.pipeline.model().batches_in_flight();
        let together = self.pipeline.options().batch.saturating_mul(in_flight);
        let mut waiting = Vec::new();
        for image in source {
            waiting.push(image);
            if waiting.len() == together {
                self.batch(&mut waiting)?;
            }
        }
        match self.interrupt.received() {
            // What waits for its batch to fill was not begun.
            Some(_) => Ok(()),
            None => self.batch(&mut waiting),
        }
    }

    fn batch(&mut self, waiting: &mut Vec<SourceFrame>) -> Result<(), Failure> {
        let mut frames = Vec::with_capacity(waiting.len());
        let mut turns = Vec::with_capacity(waiting.len());
        for image in waiting.drain(..) {
            let decoded = image.image.map(|decoded| {
                frames.push(decoded.frame);
                (frames.len() - 1, decoded.warnings)
            });
            turns.push((image.name, image.decode, decoded));
        }
        let results = match &self.tiling {
            None => self.pipeline.predict(&frames)?,
            Some(tiling) => {
                let tiled = |frame| self.pipeline.predict_tiled(&frame, tiling);
                let results = frames.iter().map(|frame| tiled(frame.into()));
                results.collect::<Result<Vec<_>, _>>()?
            }
        };
        for (name, decode, decoded) in turns {
            self.bar.inc(1);
            self.tally.position += 1;
            match decoded {
                Ok((index, warnings)) => {
                    let image = PredictedImage {
                        position: self.tally.position,
                        total: self.tally.total,
                        source: &name,
                        frame: &frames[index],
                        result: &results[index],
                        decode,
                        warnings: &warnings,
                    };
                    self.tally.add(&image);
                    self.bar.suspend(|| self.outputs.write(&image))?;
                    self.warn(&image);
                }
                Err(error) => {
                    self.tally.failed += 1;
                    let failure = Failure::from(onelook::Error::from(error));
                    self.bar
                        .suspend(|| self.console.error(&failure, Some(&name)));
                }
            }
        }
        Ok(())
    }

    /// JSON has the warnings beside the boxes.
    fn warn(&self, image: &PredictedImage<'_>) {
        for warning in image.warnings.iter().filter(|_| !self.console.is_json()) {
            let text = format!("'{}': {warning}", image.source);
            self.bar.suspend(|| self.console.warn(text));
        }
    }
}

/// What the images came to.
#[derive(Default)]
struct Tally {
    position: usize,
    total: Option<usize>,
    failed: usize,
    speed: Speed,
    input: [usize; 2],
}

impl Tally {
    fn add(&mut self, image: &PredictedImage<'_>) {
        self.speed += image.result.speed;
        self.input = image.result.input;
    }

    /// Mean times, if anything was predicted.
    fn summary(&self) -> Option<String> {
        let done = self.position - self.failed;
        if done == 0 {
            return None;
        }
        let mean = |total: Duration| total.as_secs_f64() * 1e3 / done as f64;
        let [height, width] = self.input;
        Some(format!(
            "Speed: {:.1}ms preprocess, {:.1}ms inference, {:.1}ms postprocess per image at shape (1, 3, {height}, {width})",
            mean(self.speed.preprocess),
            mean(self.speed.inference),
            mean(self.speed.postprocess),
        ))
    }

    /// `3 of 5 images`, or `3 images` where nobody knows how many there are.
    fn of_total(&self, count: usize) -> String {
        match self.total {
            Some(total) => format!("{count} of {total} images"),
            None => format!("{count} images"),
        }
    }

    fn interrupted(&self, signal: u8) -> Failure {
        let done = self.of_total(self.position);
        Failure::Interrupted {
            signal,
            message: format!("ended by a signal after {done}; their results are complete"),
        }
    }

    fn outcome(&self) -> Result<(), Failure> {
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::failed(
                "image",
                format!("{} could not be used, see above", self.of_total(failed)),
            )),
        }
    }
}
