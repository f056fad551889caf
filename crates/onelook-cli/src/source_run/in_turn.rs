//! One image or video after the other, in batches. The source decodes the next ones while the network runs.

use onelook::media::video::ResumePoint;
use onelook::media::{DecodeWarning, Source, SourceError, SourceFrame, VideoPosition};
use onelook::types::{Frame, FrameView};
use onelook::{ImageResult, Pipeline, Tiling};

use super::RunPlan;
use super::emitter::Emitter;
use super::run_state::RunState;
use super::sequences::{SequenceState, Sequences};
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
    resumed: Option<SequenceState>,
) -> Result<(), Failure> {
    let stop = source.stop_handle();
    interrupt.then(move || stop.stop());
    let mut batches = Batches {
        pipeline,
        tiling: plan.args.tile.tiling(plan.args.fit.agnostic_nms),
        sequences: Sequences::new(plan.tracker, plan.image_rate),
        emitter,
        announced: None,
        place: None,
    };
    if let Some(sequence) = resumed {
        batches.sequences.resume(sequence);
    }
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
        Some(_) => batches.checkpoint(),
        None => batches.run(&mut waiting),
    }
}

struct Batches<'a, 'e> {
    pipeline: &'a Pipeline,
    tiling: Option<Tiling>,
    sequences: Sequences,
    emitter: &'a mut Emitter<'e>,
    /// The video whose length the bar knows.
    announced: Option<usize>,
    /// Where the source was at the last checkpoint or when one was due.
    place: Option<Place>,
}

/// What was run last.
struct Place {
    /// Which image or video comes next or goes on.
    index: usize,
    /// The last frame of it, and which one it is.
    frame: Option<(Frame, u64)>,
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
        let mut last_frame = None;
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
                    // There are no more frames of it.
                    last_frame = Some((image.index + 1, None));
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
            let frame = image.video.as_ref().map(|video| (index, video.frame));
            last_frame = Some((image.index, frame));
        }
        if self.emitter.checkpoints.is_some()
            && let Some((index, frame)) = last_frame
        {
            self.place = Some(Place {
                index,
                frame: frame.map(|(frame, number)| (frames.swap_remove(frame), number)),
            });
            if self.emitter.is_checkpoint_due() {
                self.checkpoint()?;
            }
        }
        Ok(())
    }

    /// Keeps what it takes to go on behind what was run last.
    fn checkpoint(&mut self) -> Result<(), Failure> {
        let Some(Place { index, frame }) = self.place.take() else {
            return Ok(());
        };
        let time = self.sequences.reliable_time();
        let point = |(frame, number): (Frame, u64)| {
            let size = [frame.width(), frame.height()].map(|side| side as u32);
            ResumePoint::new(number, time, size, frame.pixels())
        };
        self.emitter.checkpoint(RunState {
            index,
            frame: frame.map(point),
            sequence: self.sequences.state(),
            ..RunState::default()
        })
    }

    fn predict(&self, frames: &[Frame]) -> Result<Vec<ImageResult>, Failure> {
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
    fn expect_frames(&mut self, image: &SourceFrame) {
        let Some(VideoPosition { frames, .. }) = image.video else {
            return;
        };
        if self.announced.replace(image.index) == Some(image.index) {
            return;
        }
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
