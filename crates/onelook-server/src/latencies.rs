//! How long requests took, counted in buckets: durations in, percentiles out. Bounded in size, and
//! the counts of several seconds or models can be added up.

use std::collections::BTreeMap;
use std::time::Duration;

/// Buckets per doubling of the time: neighbours differ by 4.4 %.
const PER_DOUBLING: f64 = 16.0;

/// Upper end of the first bucket, in milliseconds.
const LEAST_MS: f64 = 0.1;

/// Number of the last bucket, which has everything above 100 seconds.
const LAST: u16 = 320;

/// Counts of durations by bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LatencyHistogram(BTreeMap<u16, u64>);

impl LatencyHistogram {
    /// Counts a duration.
    pub fn record(&mut self, time: Duration) {
        let doublings = (time.as_secs_f64() * 1e3 / LEAST_MS).log2();
        // Below the first bucket the logarithm is negative, for zero infinite; the cast saturates.
        let bucket = ((doublings * PER_DOUBLING).ceil() as u16).min(LAST);
        *self.0.entry(bucket).or_default() += 1;
    }

    /// Adds the counts of another histogram.
    pub fn add(&mut self, other: &Self) {
        for (&bucket, &count) in &other.0 {
            *self.0.entry(bucket).or_default() += count;
        }
    }

    /// Number of durations.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// The time in milliseconds that this share of the durations does not exceed, at most 2.2 % off;
    /// `None` if there are none.
    pub fn percentile_ms(&self, share: f64) -> Option<f64> {
        let rank = ((share * self.count() as f64).ceil() as u64).max(1);
        let mut below = 0;
        let bucket = self.0.iter().find_map(|(&bucket, &count)| {
            below += count;
            (below >= rank).then_some(bucket)
        })?;
        let middle = f64::from(bucket) - 0.5;
        Some(LEAST_MS * (middle / PER_DOUBLING).exp2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: impl IntoIterator<Item = u64>) -> LatencyHistogram {
        let mut histogram = LatencyHistogram::default();
        for time in times {
            histogram.record(Duration::from_millis(time));
        }
        histogram
    }

    #[test]
    fn percentiles_are_near_the_exact_ones() {
        let histogram = of(1..=1000);
        for (share, exact) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.percentile_ms(share).unwrap();
            assert!((found / exact - 1.0).abs() < 0.023, "{share}: {found}");
        }
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(LatencyHistogram::default().percentile_ms(0.5), None);
    }

    #[test]
    fn a_sum_of_histograms_has_all_durations() {
        let mut histogram = of([5; 99]);
        histogram.add(&of([1000]));
        assert_eq!(histogram.count(), 100);
        assert!(histogram.percentile_ms(0.99).unwrap() < 6.0);
        assert!(histogram.percentile_ms(1.0).unwrap() > 970.0);
    }

    #[test]
    fn any_duration_has_a_bucket_and_the_number_of_buckets_is_bounded() {
        let mut histogram = LatencyHistogram::default();
        for time in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            histogram.record(time);
        }
        assert_eq!(histogram.0.keys().copied().collect::<Vec<_>>(), [0, LAST]);
    }
}
