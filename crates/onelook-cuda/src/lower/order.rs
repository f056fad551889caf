//! Launch order: which launch depends on which, from the channels that they access, and which
//! buffers may share memory without adding a dependency.

use std::ops::Range;

/// What a launch touches: channels of a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The buffer.
    pub buffer: usize,
    /// Channels of it.
    pub channels: Range<u32>,
    /// Whether they are written.
    pub writes: bool,
}

impl Access {
    /// Whether the order of the two accesses matters.
    fn conflicts(&self, other: &Self) -> bool {
        let (a, b) = (&self.channels, &other.channels);
        let overlap = self.buffer == other.buffer && a.start < b.end && b.start < a.end;
        (self.writes || other.writes) && overlap
    }
}

/// The order of launches that their data asks for.
#[derive(Debug, Clone, Default)]
pub struct LaunchOrder {
    /// For each launch the earlier ones that it must wait for, without those that follow from
    /// others (the transitive reduction).
    pub after: Vec<Vec<usize>>,
    /// For each launch, whether it is ordered after each earlier one (the transitive closure).
    behind: Vec<Vec<bool>>,
}

impl LaunchOrder {
    /// The order of launches with these accesses.
    pub fn new(launches: &[Vec<Access>]) -> Self {
        let mut order = Self::default();
        for (index, accesses) in launches.iter().enumerate() {
            let mut reached = vec![false; index];
            let mut direct = Vec::new();
            // From the latest backward: a launch that is already reached through a later one needs
            // no edge of its own.
            for earlier in (0..index).rev() {
                let others = &launches[earlier];
                let touches = |access: &Access| others.iter().any(|other| access.conflicts(other));
                if !reached[earlier] && accesses.iter().any(touches) {
                    direct.push(earlier);
                    reached[earlier] = true;
                    for (reached, further) in reached.iter_mut().zip(&order.behind[earlier]) {
                        *reached |= further;
                    }
                }
            }
            direct.reverse();
            order.after.push(direct);
            order.behind.push(reached);
        }
        order
    }

    /// Whether launch `earlier` has surely ended before `later` starts.
    fn ends_before(&self, earlier: usize, later: usize) -> bool {
        earlier < later && self.behind[later][earlier]
    }

    /// Whether two buffers, touched by these launches, may share memory: all that touch one have
    /// ended before any that touches the other starts.
    pub fn may_share(&self, one: &[usize], other: &[usize]) -> bool {
        let precede = |a: &[usize], b: &[usize]| {
            let mut pairs = a.iter().flat_map(|&a| b.iter().map(move |&b| (a, b)));
            pairs.all(|(a, b)| self.ends_before(a, b))
        };
        precede(one, other) || precede(other, one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(buffer: usize, channels: Range<u32>, writes: bool) -> Access {
        Access {
            buffer,
            channels,
            writes,
        }
    }

    #[test]
    fn readers_of_other_channels_do_not_wait() {
        let order = LaunchOrder::new(&[
            vec![access(0, 0..8, true)],
            vec![access(0, 8..16, true)],
            vec![access(0, 0..8, false), access(1, 0..8, true)],
            vec![access(0, 0..16, false)],
        ]);
        assert_eq!(order.after, [vec![], vec![], vec![0], vec![0, 1]]);
    }

    #[test]
    fn memory_is_shared_along_a_chain_but_not_between_branches() {
        let order = LaunchOrder::new(&[
            vec![access(0, 0..8, true)],
            vec![access(0, 0..8, false), access(1, 0..8, true)],
            vec![access(1, 0..8, false), access(2, 0..8, true)],
            vec![access(0, 0..8, false), access(3, 0..8, true)],
        ]);
        assert_eq!(order.after, [vec![], vec![0], vec![1], vec![0]]);
        assert!(!order.may_share(&[1, 2], &[3]), "branches");
        assert!(
            !order.may_share(&[0, 1, 3], &[2]),
            "the other branch still reads it"
        );
        assert!(order.may_share(&[0, 1], &[2]));
    }
}
