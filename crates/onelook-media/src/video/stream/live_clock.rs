//! Times of a live stream since its first frame, whatever is done to the clock of this machine.

use std::time::{Duration, Instant};

/// Frames arrive later than they were taken. One that is further ahead of its arrival than this was taken by
/// another clock.
const MOST_AHEAD: Duration = Duration::from_secs(60);

/// Counts the time of a live stream.
#[derive(Default)]
pub(super) struct LiveClock {
    began: Option<Instant>,
    last: Option<Last>,
}

struct Last {
    /// By the clock on the wall.
    taken: Duration,
    arrived: Instant,
    /// Since the first frame.
    time: Duration,
}

impl LiveClock {
    /// The time of a frame since the first one; never less than that of the frame before. When the clock on
    /// the wall was set, the time between the frames' arrivals counts in place of its own.
    pub(super) fn time(&mut self, taken: Duration, arrived: Instant) -> Duration {
        let began = *self.began.get_or_insert(arrived);
        let time = self.last.as_ref().map_or(Duration::ZERO, |last| {
            let latest = arrived.saturating_duration_since(began) + MOST_AHEAD;
            let step = taken.checked_sub(last.taken);
            let told = step.and_then(|step| last.time.checked_add(step));
            let waited = arrived.saturating_duration_since(last.arrived);
            told.filter(|time| *time <= latest)
                .unwrap_or(last.time + waited)
        });
        self.last = Some(Last {
            taken,
            arrived,
            time,
        });
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_on_when_the_clock_is_set_back_or_forth() {
        let seconds = Duration::from_secs;
        let (mut clock, began) = (LiveClock::default(), Instant::now());
        let mut time = |taken, arrived| {
            let time = clock.time(seconds(taken), began + seconds(arrived));
            time.as_secs()
        };
        assert_eq!([time(5000, 0), time(5001, 1), time(5002, 2)], [0, 1, 2]);
        // An hour back, then two forth.
        assert_eq!([time(1403, 3), time(1404, 4)], [3, 4]);
        assert_eq!([time(8605, 5), time(8606, 6)], [5, 6]);
        // Frames that waited come at once, with the times at which they were taken.
        assert_eq!([time(8607, 30), time(8608, 30), time(8620, 30)], [7, 8, 20]);
    }
}
