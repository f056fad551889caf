//! Images of a list through the network, a row each.

use std::path::Path;

use indicatif::ProgressBar;
use onelook::media::{Source, SourceError, SourceFrame};
use onelook::types::{Frame, FrameView};
use onelook::{Pipeline, Tiling};

use super::row::{ImageRow, RowMetadata};
use crate::console::Console;
use crate::failure::Failure;
use crate::flags::PredictArgs;
use crate::options::source_options;
use crate::signals::Interrupt;

/// What images are run with.
pub struct Runner<'a> {
    pipeline: Pipeline,
    tiling: Option<Tiling>,
    args: &'a PredictArgs,
    console: &'a Console,
    pub interrupt: Interrupt,
    pub bar: ProgressBar,
}

impl<'a> Runner<'a> {
    /// Loads the model. From now on a signal lets what is in hand end.
    pub fn new(
        args: &'a PredictArgs,
        bar: ProgressBar,
        console: &'a Console,
    ) -> Result<Self, Failure> {
        let inference = &args.inference;
        let model = inference.model.load(console)?;
        console.note(format!(
            "{} on {} ({})",
            model.name(),
            model.device(),
            model.device_reason()
        ));
        Ok(Self {
            pipeline: inference.fit.pipeline(model, console)?,
            tiling: inference.tile.tiling(inference.fit.agnostic_nms),
            args,
            console,
            interrupt: Interrupt::install().map_err(|error| {
                Failure::failed("signals", format!("signals cannot be handled: {error}"))
            })?,
            bar,
        })
    }

    /// What files of rows say of their origin.
    pub fn metadata(&self) -> RowMetadata {
        RowMetadata::new(self.pipeline.model())
    }

    /// The rows of these lines, the first of which has this index; fewer if a signal came.
    pub fn run(
        &self,
        first: usize,
        lines: &[String],
        home: &Path,
    ) -> Result<Vec<ImageRow>, Failure> {
        let inference = &self.args.inference;
        let mut options = source_options(&inference.limits.limits());
        let batch = self.pipeline.options().batch;
        options.images_ahead = options.images_ahead.max(batch.saturating_mul(2));
        let source = Source::open_lines(lines, home, &options).map_err(onelook::Error::from)?;
        let together = batch.saturating_mul(self.pipeline.model().batches_in_flight());
        let mut rows = Vec::with_capacity(lines.len());
        let mut waiting = Vec::new();
        for image in source {
            if self.interrupt.received().is_some() {
                return Ok(rows);
            }
            waiting.push(image);
            if waiting.len() == together {
                self.run_batch(&mut waiting, first, &mut rows)?;
            }
        }
        self.run_batch(&mut waiting, first, &mut rows)?;
        Ok(rows)
    }

    fn run_batch(
        &self,
        waiting: &mut Vec<SourceFrame>,
        first: usize,
        rows: &mut Vec<ImageRow>,
    ) -> Result<(), Failure> {
        let mut frames: Vec<Frame> = Vec::with_capacity(waiting.len());
        let mut images = Vec::with_capacity(waiting.len());
        for image in waiting.drain(..) {
            let decoded = image.image.map(|decoded| {
                frames.push(decoded.frame);
                frames.len() - 1
            });
            images.push((first + image.index, image.name, decoded));
        }
        let results = match &self.tiling {
            None => self.pipeline.predict(&frames)?,
            Some(tiling) => {
                let tiled = |frame| self.pipeline.predict_tiled(&FrameView::from(frame), tiling);
                frames.iter().map(tiled).collect::<Result<_, _>>()?
            }
        };
        let names = &self.pipeline.model().metadata().names;
        for (index, source, decoded) in images {
            rows.push(match decoded {
                Ok(at) => ImageRow::new(index, source, &frames[at], &results[at], names),
                Err(error) => self.failed(index, source, error),
            });
            self.bar.inc(1);
        }
        Ok(())
    }

    fn failed(&self, index: usize, source: String, error: SourceError) -> ImageRow {
        let failure = Failure::from(onelook::Error::from(error));
        self.bar
            .suspend(|| self.console.error(&failure, Some(&source)));
        ImageRow::failed(index, source, failure.message())
    }
}
