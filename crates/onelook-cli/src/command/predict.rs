//! `onelook predict`: images and videos in, boxes out, in their order.
//!
//! The source decodes the next images while the network runs. One that cannot be decoded is reported
//! when its turn comes; the rest goes on. A signal ends the run after the batch in hand.

use std::time::Duration;

use indicatif::ProgressBar;
use onelook::media::{DecodeWarning, Source, SourceError, SourceFrame, VideoPosition};
use onelook::{Pipeline, Speed, Tiling};

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::PredictArgs;
use crate::output::{Outputs, PredictedImage};
use crate::signals::Interrupt;

pub fn run(args: &PredictArgs, console: &Console) -> Result<(), Failure> {
    let options = args.source_options(console);
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
        source.len_hint().is_none().then_some(&args.video),
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
        bar: match total {
            Some(total) => console.bar(total, "predicting"),
            None => console.frame_bar(),
        },
        outputs,
        interrupt,
        tally: Tally {
            total,
            entries: source.entries(),
            ..Tally::default()
        },
    };
    let predicted = run.all(source);
    run.bar.finish_and_clear();
    // What was predicted before a failure is kept; the first failure is the one to tell.
    let summary = run.tally.summary();
    let told = summary.map_or(Ok(()), |summary| console.detail(summary));
    let complete = predicted.is_ok() && run.interrupt.received().is_none();
    let saved = run.outputs.finish(complete);
    predicted.and(told).and(saved)?;
    match run.interrupt.received() {
        Some(signal) => Err(run.tally.interrupted(signal)),
        None => run.tally.outcome(),
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
            let is_live = image.video.as_ref().is_some_and(|video| video.is_live);
            waiting.push(image);
            // A live frame is old by the time that its batch is full.
            if waiting.len() == together || is_live {
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
            self.expect_frames(&image);
            let decoded = image.image.map(|decoded| {
                frames.push(decoded.frame);
                (frames.len() - 1, decoded.warnings)
            });
            turns.push(Turn {
                decoded,
                image: SourceFrame {
                    image: Err(SourceError::Nothing),
                    ..image
                },
            });
        }
        let results = match &self.tiling {
            None => self.pipeline.predict(&frames)?,
            Some(tiling) => {
                let tiled = |frame| self.pipeline.predict_tiled(&frame, tiling);
                let results = frames.iter().map(|frame| tiled(frame.into()));
                results.collect::<Result<Vec<_>, _>>()?
            }
        };
        for Turn { image, decoded } in turns {
            self.bar.inc(1);
            self.tally.position += 1;
            match decoded {
                Ok((index, warnings)) => {
                    let image = PredictedImage {
                        position: image.index + 1,
                        total: self.tally.entries,
                        source: &image.name,
                        video: image.video.as_ref(),
                        time: image.timestamp,
                        path: image.path.as_deref(),
                        frame: &frames[index],
                        result: &results[index],
                        decode: image.decode,
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
                        .suspend(|| self.console.error(&failure, Some(&image.name)));
                }
            }
        }
        Ok(())
    }

    /// Tells the bar how many frames a video has, when its first one comes.
    fn expect_frames(&self, image: &SourceFrame) {
        let Some(VideoPosition {
            frame: 1, frames, ..
        }) = image.video
        else {
            return;
        };
        let known = self.bar.length().unwrap_or_else(|| self.bar.position());
        if let Some(frames) = frames {
            self.bar.set_length(known + frames);
        }
    }

    /// JSON has the warnings beside the boxes.
    fn warn(&self, image: &PredictedImage<'_>) {
        for warning in image.warnings.iter().filter(|_| !self.console.is_json()) {
            let text = format!("'{}': {warning}", image.source);
            self.bar.suspend(|| self.console.warn(text));
        }
    }
}

/// An image whose turn has come: its pixels are with those of the batch.
struct Turn {
    image: SourceFrame,
    decoded: Result<(usize, Vec<DecodeWarning>), SourceError>,
}

/// What the images came to.
#[derive(Default)]
struct Tally {
    position: usize,
    total: Option<usize>,
    /// Images and videos in all.
    entries: usize,
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

    /// `3 of 5 images`, or `3 images or frames` where there are videos among them.
    fn of_total(&self, count: usize) -> String {
        match self.total {
            Some(total) => format!("{count} of {total} images"),
            None => format!("{count} images or frames"),
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
                match self.total {
                    Some(_) => format!("{} could not be used, see above", self.of_total(failed)),
                    None => format!(
                        "{failed} of {} images and videos could not be used or not to their end, see above",
                        self.entries
                    ),
                },
            )),
        }
    }
}
