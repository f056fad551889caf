//! The order in which warps and blocks run, and the random numbers behind it.

/// In which order warps and blocks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// 0: block after block, warp after warp. Otherwise warps and blocks take turns in random
    /// order, for random numbers of instructions, and copies arrive at random times, all from this
    /// seed.
    pub seed: u64,
}

impl Schedule {
    /// Block after block, each warp until it has to wait: the fastest.
    pub fn in_order() -> Self {
        Self { seed: 0 }
    }

    /// Everything in an order drawn from this seed.
    pub fn adversarial(seed: u64) -> Self {
        Self {
            seed: seed.wrapping_mul(2).wrapping_add(1),
        }
    }

    /// Returns a function that picks one of `count` candidates each time it is called: the first if
    /// the schedule is in order, else a random one.
    pub fn picks(self) -> impl FnMut(usize) -> usize {
        let mut random = Random(self.seed);
        move |count| match self.seed {
            0 => 0,
            _ => random.below(count),
        }
    }
}

/// A seeded random number generator (SplitMix64).
#[derive(Debug, Clone, Copy)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(super) fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}
