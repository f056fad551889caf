//! Where results of a run go: to its counter, then to its outputs; beside them warnings and failures.

use indicatif::ProgressBar;
use onelook::media::SourceError;

use super::checkpoints::Checkpoints;
use super::counter::Counter;
use super::run_state::RunState;
use super::tally::Tally;
use crate::console::Console;
use crate::failure::Failure;
use crate::output::{Outputs, PredictedImage};

/// Takes the results of a run, one after the other.
pub struct Emitter<'a> {
    pub console: &'a Console,
    pub bar: ProgressBar,
    pub outputs: Outputs<'a>,
    pub counter: Option<Counter<'a>>,
    pub tally: Tally,
    /// Of a run that may go on in another program.
    pub checkpoints: Option<Checkpoints>,
}

impl Emitter<'_> {
    /// An image or frame with its result.
    pub fn emit(&mut self, image: PredictedImage<'_>) -> Result<(), Failure> {
        self.bar.inc(1);
        self.tally.add(&image);
        let Self {
            bar,
            outputs,
            counter,
            ..
        } = self;
        bar.suspend(|| {
            let places = counter.as_mut().map(|counter| counter.update(&image));
            let places = places.transpose()?.unwrap_or_default();
            outputs.write(&PredictedImage {
                places: &places,
                ..image
            })
        })?;
        self.warn(image.source, image.warnings);
        Ok(())
    }

    /// An image that cannot be used, or a video that cannot or not to its end.
    pub fn failed(&mut self, source: &str, error: SourceError) {
        self.bar.inc(1);
        self.tally.add_failed();
        let failure = Failure::from(onelook::Error::from(error));
        self.bar
            .suspend(|| self.console.error(&failure, Some(source)));
    }

    /// No more frames of this sequence will come.
    pub fn end_of(&mut self, sequence: usize) -> Result<(), Failure> {
        let Self { bar, outputs, .. } = self;
        bar.suspend(|| outputs.end_of(sequence))?;
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.force();
        }
        Ok(())
    }

    /// Whether it is time for a checkpoint.
    pub fn is_checkpoint_due(&self) -> bool {
        self.checkpoints.as_ref().is_some_and(Checkpoints::is_due)
    }

    /// Keeps what it takes to go on from here; `place` is where the source is.
    pub fn checkpoint(&mut self, place: RunState) -> Result<(), Failure> {
        let Some(checkpoints) = &mut self.checkpoints else {
            return Ok(());
        };
        let counter = self.counter.as_mut().map(Counter::checkpoint);
        checkpoints.write(&RunState {
            counts: self.tally.counts(),
            outputs: self.outputs.checkpoint()?,
            counter: counter.transpose()?,
            ..place
        })?;
        self.outputs.discard_older();
        Ok(())
    }

    /// JSON has the warnings beside the boxes.
    fn warn(&self, source: &str, warnings: &[onelook::media::DecodeWarning]) {
        for warning in warnings.iter().filter(|_| !self.console.is_json()) {
            let text = format!("'{source}': {warning}");
            self.bar.suspend(|| self.console.warn(text));
        }
    }

    /// Ends the run: `done` is how its frames went, `signal` the one that ended it. What was predicted before
    /// a failure is kept; the first failure is the one to tell.
    pub fn finish(mut self, done: Result<(), Failure>, signal: Option<u8>) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        if self.checkpoints.is_some()
            && let (Err(_), _) | (_, Some(_)) = (&done, signal)
        {
            self.console
                .note("the same command goes on from the last checkpoint");
            let signal = signal.map_or(Ok(()), |signal| Err(self.tally.interrupted(signal)));
            return done.and(signal);
        }
        let counted = self.counter.as_mut().map_or(Ok(()), Counter::finish);
        let summary = self.tally.summary();
        let told = summary.map_or(Ok(()), |summary| self.console.detail(summary));
        let complete = done.is_ok() && signal.is_none();
        let saved = self.outputs.finish(complete);
        done.and(counted).and(told).and(saved)?;
        if let Some(checkpoints) = self.checkpoints.take() {
            checkpoints.end();
            self.outputs.discard_older();
            self.outputs.remove_leftovers()?;
        }
        match signal {
            Some(signal) => Err(self.tally.interrupted(signal)),
            None => self.tally.outcome(),
        }
    }
}
