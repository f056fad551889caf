//! Whose turn it is: shares of work by weight (start-time fair queueing, Goyal et al. 1996).
//!
//! Pure bookkeeping. A stream that had nothing to run for a while gains nothing by it.

use std::cmp::Ordering;

/// When a stream's turn is, in virtual time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Turn(f64);

/// The present, in virtual time.
#[derive(Debug, Default)]
pub struct Turns {
    clock: f64,
}

impl Turns {
    /// Which of two that have a frame comes first.
    pub fn order(&self, a: &Turn, b: &Turn) -> Ordering {
        self.start(a).total_cmp(&self.start(b))
    }

    /// Has its turn with so much work, divided by its weight.
    pub fn take(&mut self, turn: &mut Turn, work: f64) {
        self.clock = self.start(turn);
        turn.0 = self.clock + work;
    }

    fn start(&self, turn: &Turn) -> f64 {
        turn.0.max(self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each of some streams has its turn in `turns` turns, if all always have a frame.
    fn shares<const N: usize>(
        turns: &mut Turns,
        streams: &mut [(Turn, f64); N],
        count: usize,
    ) -> [usize; N] {
        let mut taken = [0; N];
        for _ in 0..count {
            let order = |a: &usize, b: &usize| turns.order(&streams[*a].0, &streams[*b].0);
            let next = (0..N).min_by(order).unwrap();
            let work = streams[next].1;
            turns.take(&mut streams[next].0, work);
            taken[next] += 1;
        }
        taken
    }

    #[test]
    fn shares_go_by_weight() {
        let mut turns = Turns::default();
        let mut streams = [1.0, 1.0, 0.5].map(|work| (Turn::default(), work));
        assert_eq!(shares(&mut turns, &mut streams, 400), [100, 100, 200]);
    }

    #[test]
    fn twice_the_work_is_half_the_turns() {
        let mut turns = Turns::default();
        let mut streams = [2.0, 1.0].map(|work| (Turn::default(), work));
        assert_eq!(shares(&mut turns, &mut streams, 30), [10, 20]);
    }

    #[test]
    fn who_was_idle_does_not_catch_up() {
        let mut turns = Turns::default();
        let mut busy = [(Turn::default(), 1.0)];
        shares(&mut turns, &mut busy, 100);
        let mut both = [busy[0], (Turn::default(), 1.0)];
        assert_eq!(shares(&mut turns, &mut both, 10), [5, 5]);
    }
}
