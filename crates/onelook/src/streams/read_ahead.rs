//! When frames of videos are to be there, and how many: as late and as few as keep the model busy, since
//! frames that wait grow old.

use std::time::{Duration, Instant};

use onelook_media::video::RecentShortest;

/// So many runs in a row that had not to wait, and one frame less is read ahead.
const CALM_RUNS: u32 = 32;

/// Adapts to how long runs take and to how long the model waits for frames.
#[derive(Debug, Default)]
pub struct ReadAhead {
    /// Frames beyond those of one run.
    extra: usize,
    calm: u32,
    waited: Duration,
    /// When frames were collected for the run that is under way.
    collected: Option<Instant>,
    /// From there until the next are collected.
    interval: RecentShortest,
}

impl ReadAhead {
    /// Most frames to be read ahead, where one run takes `batch` and there are so many `streams`.
    pub fn frames(&self, batch: usize, streams: usize) -> usize {
        (batch + self.extra).min(streams)
    }

    /// When frames that are asked for now are needed.
    pub fn needed(&self, now: Instant) -> Instant {
        match (self.collected, self.extra) {
            (Some(collected), 0) => now.max(collected + self.interval.get()),
            _ => now,
        }
    }

    /// Frames are collected for a run, or none are there yet.
    pub fn collects(&mut self, now: Instant) {
        if let Some(collected) = self.collected.take() {
            self.interval.see(now - collected);
        }
    }

    /// A run begins with frames that were collected now.
    pub fn runs(&mut self, now: Instant) {
        self.collected = Some(now);
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

    #[test]
    fn frames_are_needed_when_the_run_that_is_under_way_will_have_ended() {
        let mut ahead = ReadAhead::default();
        let mut now = Instant::now();
        assert_eq!(ahead.needed(now), now, "nothing is known");
        ahead.collects(now);
        ahead.runs(now);
        now += RUN;
        ahead.collects(now);
        assert_eq!(ahead.needed(now), now, "nothing is under way");
        ahead.runs(now);
        assert_eq!(ahead.needed(now), now + RUN);
        let late = now + 2 * RUN;
        assert_eq!(ahead.needed(late), late);
        // Where the model had to wait, frames are read as soon as may be.
        ahead.waited(RUN);
        ahead.ran(RUN, 8);
        assert_eq!(ahead.needed(now), now);
    }
}
