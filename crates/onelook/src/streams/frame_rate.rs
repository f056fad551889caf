//! Leaves out frames of a stream so that no more than so many a second remain, as evenly as its times allow.

use std::time::Duration;

/// Times in files are rounded, in some to the millisecond.
const ROUNDING: f64 = 0.001;

/// Which frames of a stream are due.
#[derive(Debug)]
pub struct FrameRate {
    /// Seconds between frames; 0 for all of them.
    period: f64,
    /// Time of the last frame that was due, and from when on the next one is.
    last_and_next: Option<[f64; 2]>,
}

impl FrameRate {
    /// At most so many frames a second; all when absent.
    pub fn new(max_fps: Option<f64>) -> Self {
        Self {
            period: max_fps.map_or(0.0, |fps| 1.0 / fps),
            last_and_next: None,
        }
    }

    /// Whether the frame of this time is due. Asked once per frame.
    pub fn is_due(&mut self, time: Duration) -> bool {
        let time = time.as_secs_f64();
        let next = match self.last_and_next {
            // A clock that went backwards starts anew.
            Some([last, next]) if time >= last => next,
            _ => time,
        };
        if time + ROUNDING < next {
            return false;
        }
        // Counted from when it was due, so that the mean is right whatever the stream's own rate is; but
        // what was missed in a gap is not made up for.
        let is_late = time > next + self.period;
        let from = if is_late { time } else { next };
        self.last_and_next = Some([time, from + self.period]);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(max_fps: Option<f64>, times_ms: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut rate = FrameRate::new(max_fps);
        let is_due = |time: &u64| rate.is_due(Duration::from_millis(*time));
        times_ms.into_iter().filter(is_due).collect()
    }

    #[test]
    fn frames_are_left_out_evenly() {
        assert_eq!(due(None, [0, 1, 2]), [0, 1, 2]);
        let thirty = (0..30).map(|frame| frame * 1000 / 30);
        assert_eq!(due(Some(10.0), thirty.clone()).len(), 10);
        assert_eq!(due(Some(15.0), thirty.clone()).len(), 15);
        assert_eq!(due(Some(30.0), thirty.clone()).len(), 30);
        assert_eq!(due(Some(60.0), thirty).len(), 30);
        let twenty_five = (0..250).map(|frame| frame * 40);
        assert_eq!(due(Some(10.0), twenty_five).len(), 100);
    }

    #[test]
    fn gaps_and_clocks_that_go_backwards_are_no_debt() {
        assert_eq!(
            due(Some(10.0), [0, 5000, 5040, 5080, 5120]),
            [0, 5000, 5120]
        );
        assert_eq!(due(Some(10.0), [900, 0, 40, 100]), [900, 0, 100]);
    }
}
