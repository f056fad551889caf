//! One image or video after the other, in batches. The source decodes the next ones while the network runs.

use onelook::media::{DecodeWarning, Source, SourceError, SourceFrame, VideoPosition};
use onelook::types::FrameView;
use onelook::{ImageResult, Pipeline, Tiling};

use super::RunPlan;
use super::emitter::Emitter;
use super::sequences::Sequences;
use crate::failure::Failure;
use crate::output::PredictedImage;
use crate::signals::Interrupt;

/// Runs all frames of the source, or those before a signal.
pub fn run(
    source: Source,
    pipeline: &Pipeline,
    plan: &RunPlan<'_>,
    interrupt: &Interrupt,
    emitter: &mut Emitter<'_>,
) -> Result<(), Failure> {
    let stop = source.stop_handle();
    interrupt.then(move || stop.stop());
    let mut batches = Batches {
        pipeline,
        tiling: plan.args.tile.tiling(plan.args.fit.agnostic_nms),
        sequences: Sequences::new(plan.tracker, plan.image_rate),
        emitter,
    };
    let in_flight = pipeline.model().batches_in_flight();
    let together = pipeline.options().batch.saturating_mul(in_flight);
    let mut waiting = Vec::new();
    for image in source {
        let is_live = image.video.as_ref().is_some_and(|video| video.is_live);
        waiting.push(image);
        // A live frame is old by the time that its batch is full.
        if waiting.len() == together || is_live {
            batches.run(&mut waiting)?;
        }
    }
    match interrupt.received() {
        // What waits for its batch to fill was not begun.
        Some(_) => Ok(()),
        None => batches.run(&mut waiting),
    }
}

struct Batches<'a, 'e> {
    pipeline: &'a Pipeline,
    tiling: Option<Tiling>,
    sequences: Sequences,
    emitter: &'a mut Emitter<'e>,
}

impl Batches<'_, '_> {
    fn run(&mut self, waiting: &mut Vec<SourceFrame>) -> Result<(), Failure> {
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
        let mut results = self.predict(&frames)?;
        for Turn { image, decoded } in turns {
            let last = self.sequences.current();
            let position = self.sequences.advance(&image);
            if let Some(last) = last.filter(|last| *last != position.number) {
                self.emitter.end_of(last)?;
            }
            let (index, warnings) = match decoded {
                Ok(decoded) => decoded,
                Err(error) => {
                    self.emitter.failed(&image.name, error);
                    continue;
                }
            };
            let view = FrameView::from(&frames[index]);
            self.sequences
                .track(&view, position.time, &mut results[index]);
            let arrived = image.video.as_ref().and_then(|video| video.arrived);
            self.emitter.emit(PredictedImage {
                position: image.index + 1,
                total: self.emitter.tally.entries,
                source: &image.name,
                video: image.video.as_ref(),
                time: image.timestamp,
                sequence: position,
                path: image.path.as_deref(),
                frame: &frames[index],
                result: &results[index],
                places: &[],
                decode: image.decode,
                age: arrived.map(|arrived| arrived.elapsed()),
                warnings: &warnings,
            })?;
        }
        Ok(())
    }

    fn predict(&self, frames: &[onelook::types::Frame]) -> Result<Vec<ImageResult>, Failure> {
        let results = match &self.tiling {
            None => self.pipeline.predict(frames),
            Some(tiling) => {
                let tiled = |frame| self.pipeline.predict_tiled(&FrameView::from(frame), tiling);
                frames.iter().map(tiled).collect()
            }
        };
        Ok(results?)
    }

    /// Tells the bar how many frames a video has, when its first one comes.
    fn expect_frames(&self, image: &SourceFrame) {
        let Some(VideoPosition {
            frame: 1, frames, ..
        }) = image.video
        else {
            return;
        };
        let bar = &self.emitter.bar;
        let known = bar.length().unwrap_or_else(|| bar.position());
        if let Some(frames) = frames {
            bar.set_length(known + frames);
        }
    }
}

/// An image whose turn has come: its pixels are with those of the batch.
struct Turn {
    image: SourceFrame,
    decoded: Result<(usize, Vec<DecodeWarning>), SourceError>,
}
