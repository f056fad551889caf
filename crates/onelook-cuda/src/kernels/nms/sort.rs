//! Sorts candidates: highest confidence first, equals by anchor, then by class.
//!
//! Comes in: candidates in any order. Goes out: entries of four words (score, place in the order of
//! anchors and classes, number of the candidate, nothing) in shared memory if one run holds them,
//! else in scratch memory. The few of an ordinary image are counted to their places; more of them
//! are sorted bitonically.

use onelook_ptx::lang::{Bool, Cache, SharedAddress, ShuffleBy, U32};

use super::{CHUNK, Nms, THREADS};
use crate::kernels::head::CANDIDATE_BYTES;

/// Bytes of an entry.
pub(super) const ENTRY_BYTES: u32 = 16;

/// Entries that are sorted in shared memory.
pub(super) const RUN: u32 = 1024;

type Entry<'k> = [U32<'k>; 4];

impl<'k> Nms<'k, '_> {
    /// Sorts so many candidates.
    pub(super) fn sort(&self, count: U32<'k>) {
        let few = count.less_equal(CHUNK);
        self.k.when_else(
            few,
            || self.count_places(count),
            || self.sort_bitonically(count),
        );
    }

    /// Each candidate's place is the number of those before it: four threads count for one.
    fn count_places(&self, count: U32<'k>) {
        let k = self.k;
        self.fill(k.u32(0), count, CHUNK);
        k.barrier();
        let (own, quarter) = (k.thread() / 4, k.thread() % 4);
        let [score, place] = k.load_shared(self.entry(own));
        let before = k.variable(k.u32(0));
        k.count(quarter, count, 4, |other| {
            let [other_score, other_place] = k.load_shared(self.entry(other));
            let first = is_before([other_score, other_place], [score, place]);
            k.assign(before, before + first.select(k.u32(1), k.u32(0)));
        });
        let before = [1, 2].into_iter().fold(before, |before, lanes| {
            before + k.shuffle(before, ShuffleBy::Xor(lanes))
        });
        k.when(own.less(count) & quarter.equals(0), || {
            k.store_shared(self.entry(before) + 8, [own]);
        });
        k.barrier();
    }

    fn sort_bitonically(&self, count: U32<'k>) {
        let k = self.k;
        let all = k.u32(1) << ((count.max(1) - 1).highest_one() + 1);
        k.count(0, all, RUN, |first| {
            self.fill(first, count, RUN);
            k.barrier();
            let size = k.variable(k.u32(2));
            let largest = all.min(RUN);
            k.repeat_while(
                || size.less_equal(largest),
                || {
                    self.merge_in_run(first, size, largest);
                    k.assign(size, size * 2);
                },
            );
            if self.shape.capacity > RUN {
                k.when(all.above(RUN), || self.put_back(first));
            }
        });
        if self.shape.capacity > RUN {
            self.merge_pieces(all);
        }
    }

    /// The number of the candidate at a place of the order.
    pub(super) fn sorted(&self, place: U32<'k>, count: U32<'k>) -> U32<'k> {
        let k = self.k;
        let number = k.variable(k.u32(0));
        let from_run = || {
            let [value] = k.load_shared(self.entry(place) + 8);
            k.assign(number, value);
        };
        if self.shape.capacity <= RUN {
            from_run();
            return number;
        }
        k.when_else(count.less_equal(RUN), from_run, || {
            let [value] = k.load(self.scratch + place * ENTRY_BYTES + 8, Cache::Default);
            k.assign(number, value);
        });
        number
    }

    fn entry(&self, index: U32<'k>) -> SharedAddress<'k> {
        self.entries + index * ENTRY_BYTES
    }

    /// So many entries; those beyond the last candidate come behind all others. The third word of
    /// an entry is its candidate's number.
    fn fill(&self, first: U32<'k>, count: U32<'k>, entries: u32) {
        let k = self.k;
        k.count(k.thread(), entries, THREADS, |index| {
            let number = first + index;
            let [score, place] = [0, u32::MAX].map(|word| k.variable(k.u32(word)));
            k.when(number.less(count), || {
                let from = self.candidates + number * CANDIDATE_BYTES + 16;
                let [own, class, anchor, _] = k.load(from, Cache::Default);
                k.assign(score, own);
                k.assign(place, anchor.multiply_add(self.shape.classes, class));
            });
            k.store_shared(self.entry(index), [score, place, number, k.u32(0)]);
        });
    }

    /// Merges runs of `size / 2` entries into runs of `size`, `RUN` long at most. A warp's pairs
    /// of near entries are its own: it need not wait for other warps between them.
    fn merge_in_run(&self, first: U32<'k>, size: U32<'k>, all: U32<'k>) {
        let k = self.k;
        let stride = k.variable((size / 2).min(RUN / 2));
        k.repeat_while(
            || stride.above(0),
            || {
                k.count(k.thread(), all / 2, THREADS, |pair| {
                    let near = pair * 2 - (pair & (stride - 1));
                    let far = near + stride;
                    let rising = ((first + near) & size).equals(0);
                    let [a, b] = [near, far].map(|at| k.load_shared(self.entry(at)));
                    k.when(self.wrong(a, b, rising), || {
                        k.store_shared(self.entry(near), b);
                        k.store_shared(self.entry(far), a);
                    });
                });
                let alone = stride.less_equal(32) & stride.above(1);
                k.when_else(alone, || k.warp_barrier(), || k.barrier());
                k.assign(stride, stride / 2);
            },
        );
    }

    /// Whether two entries have to change places.
    fn wrong(&self, a: Entry<'k>, b: Entry<'k>, rising: Bool<'k>) -> Bool<'k> {
        is_before([a[0], a[1]], [b[0], b[1]]) ^ rising
    }

    fn put_back(&self, first: U32<'k>) {
        let k = self.k;
        k.count(k.thread(), RUN, THREADS, |index| {
            let entry = k.load_shared::<4>(self.entry(index));
            k.store(self.scratch + (first + index) * ENTRY_BYTES, entry);
        });
        k.barrier();
    }

    fn fetch(&self, first: U32<'k>) {
        let k = self.k;
        k.count(k.thread(), RUN, THREADS, |index| {
            let from = self.scratch + (first + index) * ENTRY_BYTES;
            k.store_shared(self.entry(index), k.load::<4>(from, Cache::Default));
        });
        k.barrier();
    }

    /// Merges sorted runs in memory: far exchanges there, near ones in shared memory.
    fn merge_pieces(&self, all: U32<'k>) {
        let k = self.k;
        let size = k.variable(k.u32(2 * RUN));
        k.repeat_while(
            || size.less_equal(all),
            || {
                let stride = k.variable(size / 2);
                k.repeat_while(
                    || stride.at_least(RUN),
                    || {
                        self.exchange_in_memory(size, stride, all);
                        k.assign(stride, stride / 2);
                        k.barrier();
                    },
                );
                k.count(0, all, RUN, |first| {
                    self.fetch(first);
                    self.merge_in_run(first, size, k.u32(RUN));
                    self.put_back(first);
                });
                k.assign(size, size * 2);
            },
        );
    }

    fn exchange_in_memory(&self, size: U32<'k>, stride: U32<'k>, all: U32<'k>) {
        let k = self.k;
        k.count(k.thread(), all / 2, THREADS, |pair| {
            let near = pair * 2 - (pair & (stride - 1));
            let rising = (near & size).equals(0);
            let places = [near, near + stride].map(|at| self.scratch + at * ENTRY_BYTES);
            let [a, b] = places.map(|place| k.load(place, Cache::Default));
            k.when(self.wrong(a, b, rising), || {
                k.store(places[0], b);
                k.store(places[1], a);
            });
        });
    }
}

/// Whether one entry comes before another.
fn is_before<'k>(a: [U32<'k>; 2], b: [U32<'k>; 2]) -> Bool<'k> {
    a[0].above(b[0]) | (a[0].equals(b[0]) & a[1].less(b[1]))
}
