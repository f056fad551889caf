//! Keeps now and then what it takes to go on with a run that is ended, whatever ends it.
//!
//! A checkpoint has every result so far on the disk before it says so. What is written behind it is cut off by
//! whoever goes on from it; what it does not need any more is removed after it.

use std::time::{Duration, Instant};

use super::run_state::{RunState, StateFile};
use crate::failure::Failure;

/// When checkpoints are written, and where.
pub struct Checkpoints {
    file: StateFile,
    interval: Duration,
    last: Instant,
    is_forced: bool,
}

impl Checkpoints {
    /// One every so often, in this file.
    pub fn new(file: StateFile, interval: Duration) -> Self {
        Self {
            file,
            interval,
            last: Instant::now(),
            is_forced: false,
        }
    }

    /// Has the next opportunity taken: a file was finished.
    pub fn force(&mut self) {
        self.is_forced = true;
    }

    /// Whether it is time.
    pub fn is_due(&self) -> bool {
        self.is_forced || self.last.elapsed() >= self.interval
    }

    /// Writes one.
    pub fn write(&mut self, state: &RunState) -> Result<(), Failure> {
        self.file.write(state)?;
        self.is_forced = false;
        self.last = Instant::now();
        Ok(())
    }

    /// The run is complete: nobody goes on with it.
    pub fn end(self) {
        self.file.remove();
    }
}
