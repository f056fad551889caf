//! Races in shared and global memory, barriers that not all reach.

use super::*;
use crate::lang::{Atomic, Special};

/// Warp 0 writes, warp 1 reads.
fn hands_over(order: impl Fn(&Builder)) -> Kernel {
    kernel(64, |k| {
        let (_, output) = with_memory(k);
        let shared = k.shared(128, 16) + k.lane() * 4;
        k.when(k.warp().equals(0), || k.store_shared(shared, [k.lane()]));
        order(k);
        k.when(k.warp().equals(1), || {
            let [word]: [U32<'_>; 1] = k.load_shared(shared);
            k.store(output + k.lane() * 4, [word]);
        });
    })
}

#[test]
fn a_dropped_barrier_is_a_race() {
    for schedule in schedules() {
        let trap = run(&hands_over(|_| {}), &schedule).unwrap_err().to_string();
        assert!(trap.contains("race: ") || trap.contains("poison"), "{trap}");
        let trap = run(&hands_over(Builder::warp_barrier), &schedule).unwrap_err();
        assert!(trap.to_string().contains("race: ") || trap.what.contains("poison"));
    }
    traps_in_order(
        &hands_over(|_| {}),
        "race: reads byte 0 of shared memory, which lane 0 of warp 0",
    );
    assert_eq!(runs(&hands_over(Builder::barrier))[..2], [0, 1]);
}

fn traps_in_order(kernel: &Kernel, words: &str) {
    let trap = run(kernel, &Schedule::in_order()).unwrap_err().to_string();
    assert!(trap.contains(words), "{trap}");
}

/// All read the word of a neighbour and then overwrite their own.
fn overwrites(lanes: u32, order: impl Fn(&Builder)) -> Kernel {
    kernel(lanes, |k| {
        let (_, output) = with_memory(k);
        let (shared, thread) = (k.shared(256, 16), k.thread());
        k.store_shared(shared + thread * 4, [thread]);
        k.barrier();
        let [word]: [U32<'_>; 1] = k.load_shared(shared + (thread ^ (lanes - 1)) * 4);
        order(k);
        k.store_shared(shared + thread * 4, [word]);
        k.store(output + thread * 4, [word]);
    })
}

#[test]
fn writing_over_what_others_still_read_is_a_race() {
    traps(&overwrites(64, |_| {}), "race: ");
    traps(&overwrites(64, Builder::warp_barrier), "race: ");
    runs(&overwrites(64, Builder::barrier));
    traps(&overwrites(32, |_| {}), "race: writes byte");
    runs(&overwrites(32, Builder::warp_barrier));
}

#[test]
fn a_barrier_in_a_branch_is_a_fault() {
    let kernel_of = |threads: u32, whole_warps: bool| {
        kernel(threads, |k| {
            let thread = k.thread();
            let some = if whole_warps {
                thread.less(32)
            } else {
                thread.less(16)
            };
            with_memory(k);
            k.when(some, || k.barrier());
        })
    };
    traps(
        &kernel_of(32, false),
        "a barrier of the block needs all 32 lanes",
    );
    traps(&kernel_of(64, true), "it has ended");
    runs(&kernel_of(32, true));
}

#[test]
fn atomic_changes_need_no_order_among_themselves() {
    let counts = |atomic: bool| {
        kernel(64, |k| {
            let (_, output) = with_memory(k);
            let shared = k.shared(4, 4);
            k.when(k.thread().equals(0), || k.store_shared(shared, [k.u32(0)]));
            k.barrier();
            if atomic {
                k.atomic_shared(Atomic::Add, shared, k.thread());
            } else {
                let [word]: [U32<'_>; 1] = k.load_shared(shared);
                k.store_shared(shared, [word + k.thread()]);
            }
            k.barrier();
            let [sum]: [U32<'_>; 1] = k.load_shared(shared);
            k.when(k.thread().equals(0), || k.store(output, [sum]));
        })
    };
    traps(&counts(false), "race: ");
    assert_eq!(runs(&counts(true))[0], 63 * 32);
}

#[test]
fn two_blocks_that_write_one_byte_race() {
    let writes = |stride: u32| {
        kernel(32, |k| {
            let (_, output) = with_memory(k);
            let at = k.special(Special::BlockX) * stride + k.thread() * 4;
            k.store(output + at, [k.u32(7)]);
        })
    };
    traps_on_grid(&writes(124), [2, 1, 1], "race: writes without order");
    runs_on_grid(&writes(128), [2, 1, 1]);
}

#[test]
fn a_block_that_reads_what_another_writes_races() {
    let reads = |other: u32| {
        kernel(32, |k| {
            let (_, output) = with_memory(k);
            let own = output + (k.special(Special::BlockX) * 128 + k.thread() * 4);
            k.store(own, [k.u32(7)]);
            let from = output + ((k.special(Special::BlockX) ^ other) * 128 + k.thread() * 4);
            let [word]: [U32<'_>; 1] = k.load(from, Cache::Default);
            k.store(own, [word]);
        })
    };
    for schedule in schedules() {
        assert!(run_grid(&reads(1), [2, 1, 1], &schedule).is_err());
    }
    runs_on_grid(&reads(0), [2, 1, 1]);
}

/// Each block leaves a number; the last one to come adds them up.
fn last_block_sums(fence: bool) -> Kernel {
    kernel(32, |k| {
        let parts = k.output("parts");
        let out = k.output("out");
        let block = k.special(Special::BlockX);
        k.when(k.thread().equals(0), || {
            k.store(parts + (block * 4 + 4), [block + 1]);
            if fence {
                k.device_fence();
            }
            let before = k.atomic(Atomic::Add, parts, k.u32(1));
            k.when(before.equals(3), || {
                k.device_fence();
                let sum = k.variable(k.u32(0));
                for block in 0..4 {
                    let [part]: [U32<'_>; 1] = k.load(parts + (block * 4 + 4), Cache::L2);
                    k.assign(sum, sum + part);
                }
                k.store(out, [sum]);
            });
        });
    })
}

#[test]
fn the_last_block_may_read_what_fences_and_atomics_order() {
    for schedule in schedules() {
        let outcome = |fence| {
            let mut machine = Machine::new();
            let [parts, out] = [64, 4].map(|bytes| machine.allocate(bytes));
            machine.write(parts, 0, &[0; 4]);
            let memory = |buffer, bytes| Value::Memory {
                buffer,
                offset: 0,
                bytes,
            };
            let values = [memory(parts, 64), memory(out, 4)];
            machine.launch(&last_block_sums(fence), [4, 1, 1], &values, &schedule)?;
            machine.read(out, 0, 4)
        };
        assert!(outcome(false).unwrap_err().what.contains("race"));
        assert_eq!(outcome(true), Ok(vec![10, 0, 0, 0]));
    }
}

#[test]
fn threads_of_a_block_need_a_barrier_in_global_memory_too() {
    let exchanges = |barrier: bool| {
        kernel(64, |k| {
            let (_, output) = with_memory(k);
            let thread = k.thread();
            k.store(output + thread * 4, [thread]);
            if barrier {
                k.barrier();
            }
            let [word]: [U32<'_>; 1] = k.load(output + (thread ^ 63) * 4, Cache::Default);
            k.store(output + (thread * 4 + 1024), [word]);
        })
    };
    for schedule in schedules() {
        let trap = run(&exchanges(false), &schedule).unwrap_err();
        assert!(trap.what.contains("race") || trap.what.contains("poison"));
    }
    assert_eq!(runs(&exchanges(true))[256], 63);
}

/// Warp 1 turns in a loop until warp 0 says so.
fn waits_in_a_loop(told: bool) -> Kernel {
    kernel(64, |k| {
        with_memory(k);
        let shared = k.shared(4, 4);
        k.when(k.thread().equals(0), || k.store_shared(shared, [k.u32(0)]));
        k.barrier();
        k.when_else(
            k.warp().equals(u32::from(!told)),
            || {
                k.atomic_shared(Atomic::Or, shared, k.u32(u32::from(told)));
            },
            || {
                let word = || k.atomic_shared(Atomic::Or, shared, k.u32(0));
                k.repeat_while(|| word().equals(0), || {});
            },
        );
    })
}

#[test]
fn loops_that_wait_for_other_warps_end_when_these_have_run() {
    runs(&waits_in_a_loop(true));
}

#[test]
fn loops_that_never_end_are_found() {
    traps_in_order(&waits_in_a_loop(false), "still runs");
}

#[test]
fn the_read_only_cache_is_not_for_what_the_launch_writes() {
    let reads = |cache: Cache| {
        kernel(32, |k| {
            let (_, output) = with_memory(k);
            let at = output + k.thread() * 4;
            k.store(at, [k.thread()]);
            let [word]: [U32<'_>; 1] = k.load(at, cache);
            k.store(at, [word]);
        })
    };
    traps(&reads(Cache::ReadOnly), "read-only cache");
    runs(&reads(Cache::Default));
}
