//! How long to wait before a stream is opened again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that double, with a random part, so that cameras that failed together do not come back together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// A stream that ran so long begins anew.
    pub reset_after: Duration,
    failures: u32,
}

impl Default for Backoff {
    /// 1, 2, 4 … 30 s; anew after 30 s.
    fn default() -> Self {
        Self::new(
            Duration::from_secs(1),
            Duration::from_secs(30),
            Duration::from_secs(30),
        )
    }
}

impl Backoff {
    /// Waits from `first` to `most`, anew after a stream that ran for `reset_after`.
    pub fn new(first: Duration, most: Duration, reset_after: Duration) -> Self {
        Self {
            first,
            most,
            reset_after,
            failures: 0,
        }
    }

    /// The wait after a stream that ran for `ran`.
    pub fn next(&mut self, ran: Duration) -> Duration {
        self.next_with(ran, random())
    }

    /// `random` is from 0 to 1; the wait is three quarters to all of what it is at most.
    fn next_with(&mut self, ran: Duration, random: f64) -> Duration {
        if ran >= self.reset_after {
            self.failures = 0;
        }
        let factor = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        let wait = self.first.saturating_mul(factor).min(self.most);
        wait.mul_f64(0.75 + 0.25 * random)
    }
}

/// The standard library's hashers have random keys.
fn random() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_begin_anew_after_a_good_run() {
        let mut backoff = Backoff::default();
        let mut wait = |ran, random| {
            backoff
                .next_with(Duration::from_secs(ran), random)
                .as_secs_f64()
        };
        let waits: Vec<f64> = (0..7).map(|_| wait(0, 1.0)).collect();
        assert_eq!(waits, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        assert_eq!(wait(29, 0.0), 22.5);
        assert_eq!([wait(30, 1.0), wait(1, 1.0)], [1.0, 2.0]);
    }
}
