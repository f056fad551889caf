//! How many frames of videos are read before the model is free for them: as few as keep it busy, since
//! frames that wait grow old.

use std::time::Duration;

/// So many runs in a row that had not to wait, and one frame less is read ahead.
const CALM_RUNS: u32 = 32;

/// Adapts to how long the model waits for frames.
#[derive(Debug, Default)]
pub struct ReadAhead {
    /// Beyond those of one run.
    extra: usize,
    calm: u32,
    waited: Duration,
}

impl ReadAhead {
    /// Most frames to be read ahead, where one run takes `batch` and there are so many `streams`.
    pub fn frames(&self, batch: usize, streams: usize) -> usize {
        (batch + self.extra).min(streams)
    }

    /// Nothing could be run for so long, though a frame had been asked for.
    pub fn waited(&mut self, time: Duration) {
        self.waited += time;
    }

    /// A run has taken so long, with so many `streams` there. A wait that is short beside it does not
    /// count.
    pub fn ran(&mut self, time: Duration, streams: usize) {
        if std::mem::take(&mut self.waited) > time / 8 {
            self.extra = (self.extra + 1).min(streams);
            self.calm = 0;
            return;
        }
        self.calm += 1;
        if self.calm == CALM_RUNS {
            self.extra = self.extra.saturating_sub(1);
            self.calm = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: Duration = Duration::from_millis(16);

    #[test]
    fn waits_read_more_ahead_and_calm_reads_less() {
        let mut ahead = ReadAhead::default();
        assert_eq!(ahead.frames(1, 8), 1);
        for expected in [2, 3] {
            ahead.waited(RUN);
            ahead.ran(RUN, 8);
            assert_eq!(ahead.frames(1, 8), expected);
        }
        for _ in 0..CALM_RUNS {
            ahead.ran(RUN, 8);
        }
        assert_eq!(ahead.frames(1, 8), 2);
    }

    #[test]
    fn short_waits_do_not_count_and_streams_are_the_most() {
        let mut ahead = ReadAhead::default();
        ahead.waited(RUN / 9);
        ahead.ran(RUN, 8);
        assert_eq!(ahead.frames(1, 8), 1);
        for _ in 0..100 {
            ahead.waited(RUN);
            ahead.ran(RUN, 8);
        }
        assert_eq!(ahead.frames(4, 8), 8);
    }
}
