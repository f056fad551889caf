//! When a transfer that makes too little progress is cut: by what arrives, not by how long it takes.
//!
//! A transfer starts with some time, and earns more by every byte at the lowest accepted rate, but never
//! more than it started with. So one that stalls is cut after that time, one that trickles soon after,
//! and one that keeps the rate may take as long as it needs.

use std::time::Duration;

use tokio::time::Instant;

/// What is expected of a transfer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinProgress {
    /// Longest time without progress.
    pub stall: Duration,
    /// Lowest rate that may last, in bytes per second.
    pub bytes_per_second: u32,
}

/// Until when a transfer must have made progress.
#[derive(Debug, Clone, Copy)]
pub struct ProgressDeadline {
    expected: MinProgress,
    due: Instant,
}

impl ProgressDeadline {
    /// The deadline of a transfer that starts now.
    pub fn new(expected: MinProgress, now: Instant) -> Self {
        Self {
            expected,
            due: now + expected.stall,
        }
    }

    /// Moves the deadline for bytes that were transferred.
    pub fn advance(&mut self, now: Instant, bytes: usize) {
        let rate = f64::from(self.expected.bytes_per_second.max(1));
        let earned = Duration::from_secs_f64(bytes as f64 / rate);
        self.due = (self.due + earned).min(now + self.expected.stall);
    }

    /// The deadline.
    pub fn due(&self) -> Instant {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: MinProgress = MinProgress {
        stall: Duration::from_secs(10),
        bytes_per_second: 1000,
    };

    /// Seconds after which a transfer of `bytes` every `pause` seconds is cut; at most 1000.
    fn cut_after(bytes: usize, pause: u64) -> u64 {
        let start = Instant::now();
        let mut deadline = ProgressDeadline::new(EXPECTED, start);
        let moments = (1..).map(|count| start + Duration::from_secs(count * pause));
        for now in moments {
            if now >= deadline.due() || now - start >= Duration::from_secs(1000) {
                return (now - start).as_secs();
            }
            deadline.advance(now, bytes);
        }
        unreachable!("the moments have no end")
    }

    #[test]
    fn a_transfer_is_cut_by_its_rate_and_not_by_its_length() {
        assert_eq!(cut_after(0, 1), 10);
        assert_eq!(cut_after(1, 1), 11);
        assert_eq!(cut_after(500, 1), 19);
        assert_eq!(cut_after(1000, 1), 1000);
        assert_eq!(cut_after(1 << 20, 8), 1000);
        // A stall after a fast start: nothing is saved up.
        assert_eq!(cut_after(1 << 30, 11), 11);
    }
}
