//! Asynchronous copies.

use super::*;
use crate::lang::SharedAddress;

/// Copies 16 bytes per lane and reads another lane's.
fn copies(wait: impl Fn(&Builder), order: impl Fn(&Builder)) -> Kernel {
    kernel(64, |k| {
        let (input, output) = with_memory(k);
        let (shared, thread) = (k.shared(1024, 16), k.thread());
        let when = thread.less(60);
        let from = input + when.select(thread * 16, k.u32(0x7000_0000));
        k.async_copy(shared + thread * 16, from, 16, when);
        k.async_commit();
        wait(k);
        order(k);
        let words: [U32<'_>; 4] = k.load_shared(shared + (thread ^ 63) * 16);
        k.store(output + thread * 16, words);
    })
}

#[test]
fn copies_end_at_their_wait_and_reach_others_by_a_barrier() {
    let good = copies(|k| k.async_wait(0), Builder::barrier);
    let words = runs(&good);
    assert_eq!(words[63 * 4..64 * 4], [0, 1, 2, 3]);
    assert_eq!(words[..16], [0; 16]);
    traps(&copies(|_| {}, Builder::barrier), "asynchronous copy");
    traps(
        &copies(|k| k.async_wait(1), Builder::barrier),
        "asynchronous copy",
    );
    for schedule in schedules() {
        let trap = run(&copies(|k| k.async_wait(0), |_| {}), &schedule).unwrap_err();
        assert!(
            trap.what.contains("race") || trap.what.contains("poison"),
            "{trap}"
        );
    }
}

#[test]
fn a_copy_that_was_not_committed_is_not_waited_for() {
    let copies = |committed: bool| {
        kernel(32, |k| {
            let (input, output) = with_memory(k);
            let (shared, thread) = (k.shared(512, 16), k.thread());
            k.async_copy(shared + thread * 16, input + thread * 16, 16, k.bool(true));
            if committed {
                k.async_commit();
            }
            k.async_wait(0);
            let [word]: [U32<'_>; 1] = k.load_shared(shared + thread * 16);
            k.store(output + thread * 4, [word]);
        })
    };
    traps(
        &copies(false),
        "while an asynchronous copy to it is under way",
    );
    assert_eq!(runs(&copies(true))[..2], [0, 4]);
}

/// Two stages in turn: `pending` groups may stay under way.
fn pipeline(pending: u32) -> Kernel {
    kernel(32, |k| {
        let (input, output) = with_memory(k);
        let (shared, thread) = (k.shared(256, 16), k.thread());
        copy_chunk(k, input, shared, k.u32(0));
        let sum = k.variable(k.u32(0));
        k.count(0, 8, 1, |chunk| {
            copy_chunk(k, input, shared, chunk + 1);
            k.async_wait(pending);
            k.warp_barrier();
            let [word]: [U32<'_>; 1] = k.load_shared(shared + (chunk % 2 * 128 + thread * 4));
            k.assign(sum, sum + word);
        });
        k.store(output + thread * 4, [sum]);
    })
}

fn copy_chunk<'k>(k: &'k Builder, input: Global<'k>, shared: SharedAddress<'k>, chunk: U32<'k>) {
    let thread = k.thread();
    k.when(chunk.less(8), || {
        let from = input + (chunk * 128 + thread * 4);
        let to = shared + (chunk % 2 * 128 + thread * 4);
        k.async_copy(to, from, 4, k.bool(true));
    });
    k.async_commit();
}

#[test]
fn groups_end_in_their_order() {
    assert_eq!(runs(&pipeline(1))[..2], [32 * 28, 32 * 28 + 8]);
    traps(&pipeline(2), "asynchronous copy");
}
