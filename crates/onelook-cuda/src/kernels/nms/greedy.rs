//! From sorted candidates to the boxes that are kept.
//!
//! Comes in: the order. Goes out: rows of the output, and how many there are.

use onelook_ptx::lang::{Atomic, Bool, Cache, F32, SharedAddress, U32};

use super::{Back, CHUNK, Limits, Nms, THREADS};
use crate::kernels::head::CANDIDATE_BYTES;
use crate::settings::WANTED;

/// Bytes of a box in shared memory: corners and area (floats), class, score.
pub(super) const BOX_BYTES: u32 = 32;

/// A box as it is compared.
struct Rival<'k> {
    corners: [F32<'k>; 4],
    area: F32<'k>,
    class: U32<'k>,
}

impl<'k> Nms<'k, '_> {
    /// Goes through the candidates chunk by chunk until enough boxes are kept; gives their number.
    pub(super) fn go_through(
        &self,
        count: U32<'k>,
        limits: &Limits<'k>,
        back: &Back<'k>,
    ) -> U32<'k> {
        let k = self.k;
        let [first, kept] = [0, 0].map(|zero| k.variable(k.u32(zero)));
        k.repeat_while(
            || first.less(limits.candidates) & kept.less(limits.detections),
            || {
                let size = (limits.candidates - first).min(CHUNK);
                self.load_chunk(first, count, size);
                k.barrier();
                if self.shape.end_to_end {
                    self.take_all(kept);
                } else {
                    self.compare(kept, size, limits);
                    k.barrier();
                    k.when(k.warp().equals(0), || self.choose(kept, limits));
                }
                k.barrier();
                let [now] = k.load_shared(self.chosen + CHUNK * 4);
                self.keep(kept, now, back);
                k.barrier();
                k.assign(kept, now);
                k.assign(first, first + CHUNK);
            },
        );
        kept
    }

    /// Loads the candidates of a chunk; those that are no boxes are out from the beginning.
    fn load_chunk(&self, first: U32<'k>, count: U32<'k>, size: U32<'k>) {
        let (k, thread) = (self.k, self.k.thread());
        k.when(k.warp().less(CHUNK / 32), || {
            let out = k.variable(k.u32(1));
            k.when(thread.less(size), || {
                let number = self.sorted(first + thread, count);
                let from = self.candidates + number * CANDIDATE_BYTES;
                let corners = k.load::<4>(from, Cache::Default).map(U32::as_f32);
                let [score, class] = k.load(from + 16, Cache::Default);
                let [x1, y1, x2, y2] = corners;
                let area = (x2 - x1).or_zero() * (y2 - y1).or_zero();
                let to = self.chunk + thread * BOX_BYTES;
                k.store_shared(to, corners);
                k.store_shared(to + 16, [area.bits(), class, score, k.u32(0)]);
                let finite = corners.map(|corner| corner.absolute().less(k.f32(f32::INFINITY)));
                let [a, b, c, d] = finite;
                let stays = a & b & c & d;
                let stays = match self.shape.end_to_end {
                    true => stays & self.is_wanted(class),
                    false => stays,
                };
                k.assign(out, stays.select(k.u32(0), k.u32(1)));
            });
            let word = k.ballot(out.differs(0));
            k.when(k.lane().equals(0), || {
                k.store_shared(self.out + k.warp() * 4, [word]);
            });
        });
    }

    fn is_wanted(&self, class: U32<'k>) -> Bool<'k> {
        let from = self.settings + WANTED + class / 32 * 4;
        let [bits] = self.k.load(from, Cache::Default);
        ((bits >> (class % 32)) & 1).differs(0)
    }

    /// Keeps all that are not out, in order.
    fn take_all(&self, kept: U32<'k>) {
        let (k, thread) = (self.k, self.k.thread());
        k.when(thread.less(CHUNK), || {
            let words = k.load_shared::<4>(self.out).map(|out| out ^ u32::MAX);
            let (own, bit) = (thread / 32, k.u32(1) << (thread % 32));
            let (mut before, mut all, mut word) = (k.u32(0), k.u32(0), k.u32(0));
            for (index, stays) in (0..).zip(words) {
                let ones = stays.count_ones();
                before = before + own.above(index).select(ones, k.u32(0));
                word = own.equals(index).select(stays, word);
                all = all + ones;
            }
            let place = before + (word & (bit - 1)).count_ones();
            k.when((word & bit).differs(0), || {
                k.store_shared(self.chosen + place * 4, [thread]);
            });
            k.when(thread.equals(0), || {
                k.store_shared(self.chosen + CHUNK * 4, [kept + all]);
            });
        });
    }

    fn rival(&self, at: SharedAddress<'k>) -> Rival<'k> {
        let k = self.k;
        let corners = k.load_shared::<4>(at).map(U32::as_f32);
        let [area, class] = k.load_shared(at + 16);
        Rival {
            corners,
            area: area.as_f32(),
            class,
        }
    }

    /// Whether a box is in another one's way.
    fn clash(&self, a: &Rival<'k>, b: &Rival<'k>, limits: &Limits<'k>) -> Bool<'k> {
        let side = |low: usize, high: usize| {
            let side = a.corners[high].min(b.corners[high]) - a.corners[low].max(b.corners[low]);
            side.or_zero()
        };
        let common = side(0, 2) * side(1, 3);
        let overlap = common / (a.area + b.area - common);
        overlap.above(limits.overlap) & (limits.agnostic | a.class.equals(b.class))
    }

    /// Suppresses what overlaps boxes kept before, and finds which candidates of the chunk suppress
    /// which: four threads per candidate, a quarter of the others each.
    fn compare(&self, kept: U32<'k>, size: U32<'k>, limits: &Limits<'k>) {
        let k = self.k;
        let (own, quarter) = (k.thread() / 4, k.thread() % 4);
        k.when(own.less(size), || {
            let rival = self.rival(self.chunk + own * BOX_BYTES);
            let struck = k.variable(k.u32(0));
            k.count(quarter, kept, 4, |other| {
                let other = self.rival(self.kept + other * BOX_BYTES);
                let clash = self.clash(&other, &rival, limits);
                k.assign(struck, clash.select(k.u32(1), struck));
            });
            k.when(struck.differs(0), || {
                let bit = k.u32(1) << (own % 32);
                k.atomic_shared(Atomic::Or, self.out + own / 32 * 4, bit);
            });
            let bits = k.variable(k.u32(0));
            let begin = (own + 1).max(quarter * 32);
            k.count(begin, (quarter * 32 + 32).min(size), 1, |other| {
                let later = self.rival(self.chunk + other * BOX_BYTES);
                let clash = self.clash(&rival, &later, limits);
                let bit = k.u32(1) << (other % 32);
                k.assign(bits, bits | clash.select(bit, k.u32(0)));
            });
            k.store_shared(self.strikes + own * 16 + quarter * 4, [bits]);
        });
    }

    /// Keeps the first that is left, strikes out what it clashes with, and so on: one warp.
    fn choose(&self, kept: U32<'k>, limits: &Limits<'k>) {
        let (k, lane) = (self.k, self.k.lane());
        let own = lane.min(3);
        let [out] = k.load_shared(self.out + own * 4);
        let left = k.variable(lane.less(4).select(out ^ u32::MAX, k.u32(0)));
        let now = k.variable(kept);
        let lanes = k.variable(k.ballot(left.differs(0)));
        k.repeat_while(
            || lanes.differs(0) & now.less(limits.detections),
            || {
                let word = lowest_one(lanes);
                let bit = lowest_one(k.from_lane(left, word));
                let number = word * 32 + bit;
                let [struck] = k.load_shared(self.strikes + number * 16 + own * 4);
                let itself = lane.equals(word).select(k.u32(1) << bit, k.u32(0));
                k.assign(left, left & ((struck | itself) ^ u32::MAX));
                k.when(lane.equals(0), || {
                    k.store_shared(self.chosen + (now - kept) * 4, [number]);
                });
                k.assign(now, now + 1);
                k.assign(lanes, k.ballot(left.differs(0)));
            },
        );
        k.when(lane.equals(0), || {
            k.store_shared(self.chosen + CHUNK * 4, [now])
        });
    }

    /// Puts the chosen ones with those kept before, and into the output.
    fn keep(&self, kept: U32<'k>, now: U32<'k>, back: &Back<'k>) {
        let k = self.k;
        k.count(kept + k.thread(), now, THREADS, |row| {
            let [number] = k.load_shared(self.chosen + (row - kept) * 4);
            let from = self.chunk + number * BOX_BYTES;
            let corners = k.load_shared::<4>(from);
            let [area, class, score, _] = k.load_shared(from + 16);
            let to = self.kept + row * BOX_BYTES;
            k.store_shared(to, corners);
            k.store_shared(to + 16, [area, class]);
            self.store_row(row, corners.map(U32::as_f32), [score, class], back);
        });
    }
}

/// The number of the lowest bit that is 1.
fn lowest_one(bits: U32<'_>) -> U32<'_> {
    let others = (bits ^ u32::MAX) + 1;
    (bits & others).highest_one()
}
