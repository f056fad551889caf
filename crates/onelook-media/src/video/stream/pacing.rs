//! When the reading of a frame is begun: so that it is there when it is needed, and not much earlier, since a
//! frame that waits grows old.

use std::time::Duration;

/// How much an extreme moves towards the present with each duration that is seen.
const DRIFT: f64 = 0.02;
/// What reading may take longer than it took lately, beside a quarter of it.
const MARGIN: Duration = Duration::from_millis(1);

/// About the shortest of the durations that were seen lately.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecentShortest(Option<Duration>);

impl RecentShortest {
    /// A duration more.
    pub fn see(&mut self, duration: Duration) {
        let before = self.0.map(|shortest| shortest.mul_f64(1.0 + DRIFT));
        self.0 = Some(before.map_or(duration, |before| before.min(duration)));
    }

    /// The shortest; zero before any was seen.
    pub fn get(&self) -> Duration {
        self.0.unwrap_or_default()
    }
}

/// How long before a frame is needed its reading is begun: a little more than the longest that one took
/// lately.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeadTime(Option<Duration>);

impl LeadTime {
    /// The reading of a frame took so long.
    pub fn see(&mut self, duration: Duration) {
        let before = self.0.unwrap_or_default().mul_f64(1.0 - DRIFT);
        self.0 = Some(before.max(duration));
    }

    /// How long to wait before reading what is needed in `needed`; not at all before anything is known.
    pub fn pause(&self, needed: Duration) -> Duration {
        let lead = self.0.map(|longest| longest + longest / 4 + MARGIN);
        lead.map_or(Duration::ZERO, |lead| needed.saturating_sub(lead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn the_shortest_is_followed_at_once_down_and_slowly_up() {
        let mut shortest = RecentShortest::default();
        assert_eq!(shortest.get(), Duration::ZERO);
        shortest.see(ms(30));
        shortest.see(ms(20));
        assert_eq!(shortest.get(), ms(20));
        shortest.see(ms(40));
        assert!(shortest.get() > ms(20) && shortest.get() < ms(21));
        for _ in 0..50 {
            shortest.see(ms(40));
        }
        assert_eq!(shortest.get(), ms(40));
    }

    #[test]
    fn reading_begins_early_enough_for_the_longest_that_it_took_lately() {
        let mut lead = LeadTime::default();
        assert_eq!(lead.pause(ms(30)), Duration::ZERO, "nothing is known");
        lead.see(ms(4));
        lead.see(ms(2));
        let pause = lead.pause(ms(30));
        assert!(pause > ms(24) && pause < ms(25), "{pause:?}");
        lead.see(ms(40));
        assert_eq!(lead.pause(ms(30)), Duration::ZERO);
        for _ in 0..150 {
            lead.see(ms(4));
        }
        assert_eq!(lead.pause(ms(30)), ms(24));
    }
}
