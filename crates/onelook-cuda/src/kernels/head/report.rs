//! From sums to candidates: the best class of each anchor, or all that are sure enough, with boxes.
//!
//! Comes in: sums in shared memory. Goes out: candidates in memory, in no order. Four lanes share
//! an anchor, and all lanes of a warp stay together.

use onelook_ptx::lang::{Atomic, Bool, Cache, F32, ShuffleBy, U32};

use super::{CANDIDATE_BYTES, Head, Thresholds};
use crate::kernels::sigmoid;
use crate::settings::{SWITCHES, THRESHOLDS, WANTED};

/// The best class of an anchor so far.
pub(super) struct Best<'k> {
    value: F32<'k>,
    class: U32<'k>,
}

impl<'k> Head<'k, '_> {
    pub(super) fn thresholds(&self) -> Thresholds<'k> {
        let k = self.k;
        let [bound, confidence] = k.load(self.settings + THRESHOLDS, Cache::Default);
        let [_, every_class] = k.load(self.settings + SWITCHES, Cache::Default);
        Thresholds {
            bound: bound.as_f32(),
            confidence: confidence.as_f32(),
            every_class: every_class.differs(0),
        }
    }

    /// Times that a warp takes eight anchors.
    fn turns(&self) -> u32 {
        self.tile.anchors.div_ceil(self.k.threads() / 4)
    }

    pub(super) fn nothing_yet(&self) -> Vec<Best<'k>> {
        let k = self.k;
        let nothing = |_| Best {
            value: k.float_variable(f32::NEG_INFINITY),
            class: k.variable(k.u32(0)),
        };
        (0..self.turns()).map(nothing).collect()
    }

    /// The lane's anchor of the tile in a turn; the last one for lanes without one.
    fn anchor(&self, turn: u32) -> (U32<'k>, Bool<'k>) {
        let k = self.k;
        let anchor = k.thread() / 4 + turn * (k.threads() / 4);
        let exists = anchor.less(self.tile.anchors);
        let exists = exists & (self.level.first_cell + anchor).less(self.level.cells);
        (anchor.min(self.tile.anchors - 1), exists)
    }

    /// Writes steps for the warps that have anchors of the tile in a turn.
    fn in_turn(&self, turn: u32, steps: impl FnOnce()) {
        let (k, all) = (self.k, self.k.threads() / 4);
        if (turn + 1) * all <= self.tile.anchors {
            return steps();
        }
        let first = k.warp() * 8 + turn * all;
        k.when(first.less(self.tile.anchors), steps);
    }

    /// Takes in the classes of a round.
    pub(super) fn look_through(
        &self,
        round: U32<'k>,
        thresholds: &Thresholds<'k>,
        best: &[Best<'k>],
    ) {
        let k = self.k;
        let first = round * self.shape.columns(&self.tile)[1];
        for (best, turn) in best.iter().zip(0..) {
            self.in_turn(turn, || {
                let (anchor, exists) = self.anchor(turn);
                let found = self.best_of_round(anchor, first);
                let better = found.value.above(best.value);
                k.assign(best.class, better.select(found.class, best.class));
                k.assign(best.value, better.select(found.value, best.value));
                let sure = exists & found.value.above(thresholds.bound);
                let any = k.ballot(sure & thresholds.every_class).differs(0);
                k.when(any, || self.report_all(anchor, exists, first, thresholds));
            });
        }
    }

    /// Times that a lane takes four classes of a round.
    fn fours_per_lane(&self) -> u32 {
        let columns = self.shape.columns(&self.tile)[1];
        columns.min(self.shape.classes).div_ceil(16)
    }

    /// Four values of a round and the first one's number in it, and which of them are classes.
    fn values(
        &self,
        anchor: U32<'k>,
        first: U32<'k>,
        index: U32<'k>,
    ) -> ([(F32<'k>, Bool<'k>); 4], U32<'k>) {
        let (k, classes) = (self.k, self.shape.classes);
        let [sides, columns] = self.shape.columns(&self.tile);
        let column = index * 16 + k.lane() % 4 * 4;
        let values = k.load_shared::<4>(self.sum_place(anchor, column + sides));
        let full = classes.is_multiple_of(16) && classes.is_multiple_of(columns.min(classes));
        let values = std::array::from_fn(|i| {
            let exists = match full {
                true => k.bool(true),
                false => (first + column + i as u32).less(classes),
            };
            (values[i].as_f32(), exists)
        });
        (values, column)
    }

    /// The class of highest confidence of a round, the first of several: the same in all four
    /// lanes.
    fn best_of_round(&self, anchor: U32<'k>, first: U32<'k>) -> Best<'k> {
        let k = self.k;
        let best = k.float_variable(f32::NEG_INFINITY);
        let class = k.variable(k.lane() % 4 * 4);
        k.count(0, self.fours_per_lane(), 1, |index| {
            let (values, column) = self.values(anchor, first, index);
            for ((value, exists), next) in values.into_iter().zip(0..) {
                let better = exists & value.above(best);
                k.assign(best, better.select(value, best));
                k.assign(class, better.select(column + next, class));
            }
        });
        let join = |(value, class): (F32<'k>, U32<'k>), lanes| {
            let other = k.shuffle(value, ShuffleBy::Xor(lanes)).as_f32();
            let other_class = k.shuffle(class, ShuffleBy::Xor(lanes));
            let tie = other.equals(value) & other_class.less(class);
            let better = other.above(value) | tie;
            (
                better.select(other, value),
                better.select(other_class, class),
            )
        };
        let (value, class) = [1, 2].into_iter().fold((best, class), join);
        Best {
            value,
            class: first + class,
        }
    }

    /// Appends every class of a round that is sure enough.
    fn report_all(
        &self,
        anchor: U32<'k>,
        exists: Bool<'k>,
        first: U32<'k>,
        thresholds: &Thresholds<'k>,
    ) {
        let k = self.k;
        let corners = self.corners(anchor);
        k.count(0, self.fours_per_lane(), 1, |index| {
            let (values, column) = self.values(anchor, first, index);
            for ((value, is_class), next) in values.into_iter().zip(0..) {
                let sure = exists & is_class & value.above(thresholds.bound);
                let class = first + column + next;
                self.append(anchor, corners, value, class, sure, thresholds);
            }
        });
    }

    /// Appends each anchor's best class, unless every class has been looked at for itself.
    pub(super) fn report_best(&self, thresholds: &Thresholds<'k>, best: &[Best<'k>]) {
        let k = self.k;
        for (best, turn) in best.iter().zip(0..) {
            self.in_turn(turn, || {
                let (anchor, exists) = self.anchor(turn);
                let sure = exists & best.value.above(thresholds.bound) & !thresholds.every_class;
                k.when(k.ballot(sure).differs(0), || {
                    let corners = self.corners(anchor);
                    let sure = sure & (k.lane() % 4).equals(0);
                    self.append(anchor, corners, best.value, best.class, sure, thresholds);
                });
            });
        }
    }

    /// The box of an anchor, in pixels of the input: the same in all four lanes.
    fn corners(&self, anchor: U32<'k>) -> [F32<'k>; 4] {
        let (k, level) = (self.k, &self.level);
        let distance = self.distance(anchor);
        let first = k.lane() / 4 * 4;
        let [left, top, right, bottom] =
            [0, 1, 2, 3].map(|side: u32| k.from_lane(distance, first + side).as_f32());
        let cell = level.first_cell + anchor;
        let x = (cell % level.width).to_f32() + 0.5;
        let y = (cell / level.width).to_f32() + 0.5;
        let stride = level.stride.to_f32();
        [x - left, y - top, x + right, y + bottom].map(|corner| corner * stride)
    }

    /// How far the lane's side is from the centre, in cells.
    fn distance(&self, anchor: U32<'k>) -> F32<'k> {
        let (k, bins) = (self.k, self.shape.reg_max);
        let side = k.lane() % 4;
        let bin = |bin: u32| {
            let [value] = k.load_shared(self.sum_place(anchor, side * bins + bin));
            value.as_f32()
        };
        let values: Vec<F32<'k>> = (0..bins).map(bin).collect();
        if bins == 1 {
            return values[0];
        }
        let largest = values.iter().copied().reduce(F32::max);
        let base = largest.expect("there are bins") * -std::f32::consts::LOG2_E;
        let (mut total, mut weighted) = (k.f32(0.0), k.f32(0.0));
        for (value, bin) in values.iter().zip(0u16..) {
            let exponent = value.fused_multiply_add(k.f32(std::f32::consts::LOG2_E), base);
            let weight = exponent.exp2();
            total = total + weight;
            weighted = weight.fused_multiply_add(k.f32(f32::from(bin)), weighted);
        }
        weighted / total
    }

    /// Appends the lanes' candidates where they are sure and wanted; all lanes take part.
    fn append(
        &self,
        anchor: U32<'k>,
        corners: [F32<'k>; 4],
        value: F32<'k>,
        class: U32<'k>,
        sure: Bool<'k>,
        thresholds: &Thresholds<'k>,
    ) {
        let (k, shape) = (self.k, self.shape);
        let score = sigmoid(value);
        let sure = sure & score.above(thresholds.confidence);
        let sure = match shape.filter {
            true => sure & self.is_wanted(class),
            false => sure,
        };
        let lanes = k.ballot(sure);
        k.when(lanes.differs(0), || {
            let first = k.variable(k.u32(0));
            k.when(k.lane().equals(0), || {
                let counter = self.counters + self.image * 4;
                k.assign(first, k.atomic(Atomic::Add, counter, lanes.count_ones()));
            });
            let before = lanes & ((k.u32(1) << k.lane()) - 1);
            let place = k.from_lane(first, 0) + before.count_ones();
            k.when(sure & place.less(shape.capacity), || {
                let place = self.image * shape.capacity + place;
                let to = self.candidates + place * CANDIDATE_BYTES;
                k.store(to, corners);
                let number = self.level.anchors_before + self.level.first_cell + anchor;
                k.store(to + 16, [score.bits(), class, number, k.u32(0)]);
            });
        });
    }

    fn is_wanted(&self, class: U32<'k>) -> Bool<'k> {
        let class = class.min(self.shape.classes - 1);
        let from = self.settings + WANTED + class / 32 * 4;
        let [bits] = self.k.load(from, Cache::Default);
        ((bits >> (class % 32)) & 1).differs(0)
    }
}
