//! Bounds, alignment, values never given, and what accesses cost.

use super::*;
use crate::lang::Instruction;

fn loads_from(at: impl Fn(U32<'_>) -> U32<'_>) -> Kernel {
    kernel(32, |k| {
        let (input, output) = with_memory(k);
        let thread = k.thread();
        let [word] = k.load(input + at(thread), Cache::Default);
        k.store(output + thread * 4, [word]);
    })
}

#[test]
fn loads_stay_in_what_the_launch_was_given() {
    traps(
        &loads_from(|thread| thread * 4 + 3976),
        "out of bounds: a load of 4 bytes",
    );
    assert_eq!(
        runs(&loads_from(|thread| thread * 4 + 3968))[..2],
        [992, 993]
    );
}

#[test]
fn accesses_are_aligned_to_their_size() {
    traps(
        &loads_from(|thread| thread * 4 + 2),
        "misaligned: 4 bytes at byte 2",
    );
    runs(&loads_from(|thread| thread * 4 + 8));
}

#[test]
fn inputs_are_not_written() {
    let stores = |into_input: bool| {
        kernel(32, |k| {
            let (input, output) = with_memory(k);
            let to = if into_input { input } else { output };
            k.store(to + k.thread() * 4, [k.thread()]);
        })
    };
    traps(&stores(true), "which the launch only reads");
    runs(&stores(false));
}

#[test]
fn memory_that_nobody_wrote_is_poison() {
    let reads = |written: bool| {
        kernel(32, |k| {
            let (_, output) = with_memory(k);
            let at = output + k.thread() * 4;
            if written {
                k.store(at, [k.u32(9)]);
            }
            let [word]: [U32<'_>; 1] = k.load(at, Cache::Default);
            k.store(at, [word + 1]);
        })
    };
    traps(&reads(false), "poison: byte 0 of buffer 1");
    assert_eq!(runs(&reads(true))[..2], [10, 10]);
}

#[test]
fn what_is_read_at_the_end_must_have_values() {
    let mut machine = Machine::new();
    let buffer = machine.allocate(8);
    machine.write(buffer, 0, &[1; 8]);
    assert_eq!(machine.read(buffer, 2, 2), Ok(vec![1, 1]));
    machine.poison(buffer, 5, 1);
    assert!(
        machine
            .read(buffer, 0, 8)
            .unwrap_err()
            .to_string()
            .contains("byte 5")
    );
    assert!(machine.read(buffer, 4, 8).is_err());
    let (values, known) = machine.read_partly(buffer, 4, 2).unwrap();
    assert_eq!((values, known), (vec![1, 0], vec![true, false]));
}

fn shared_at(bytes: u32, stride: u32) -> Kernel {
    kernel(32, |k| {
        let (_, output) = with_memory(k);
        let shared = k.shared(bytes, 16);
        let at = shared + k.thread() * stride;
        k.store_shared(at, [k.thread()]);
        let [word]: [U32<'_>; 1] = k.load_shared(at);
        k.store(output + k.thread() * 4, [word]);
    })
}

#[test]
fn shared_memory_has_an_end_and_alignment() {
    traps(
        &shared_at(124, 4),
        "out of bounds: 4 bytes at 124 of 124 bytes",
    );
    traps(&shared_at(256, 6), "misaligned: 4 bytes at byte 6");
    assert_eq!(runs(&shared_at(128, 4))[31], 31);
}

#[test]
fn shared_memory_is_poison_in_every_block_anew() {
    let reads = |written: bool| {
        kernel(32, |k| {
            let (_, output) = with_memory(k);
            let shared = k.shared(128, 16) + k.thread() * 4;
            let first = k.special(crate::lang::Special::BlockX).equals(0);
            let writes = if written { k.bool(true) } else { first };
            k.when(writes, || k.store_shared(shared, [k.thread()]));
            let [word]: [U32<'_>; 1] = k.load_shared(shared);
            k.when(first, || k.store(output + k.thread() * 4, [word]));
        })
    };
    traps_on_grid(&reads(false), [2, 1, 1], "poison: byte 0 of shared memory");
    runs_on_grid(&reads(true), [2, 1, 1]);
}

#[test]
fn a_launch_needs_a_value_for_every_parameter() {
    let kernel = kernel(32, |k| {
        k.word("count");
    });
    let mut machine = Machine::new();
    let schedule = Schedule::in_order();
    let trap = machine.launch(&kernel, [1; 3], &[], &schedule).unwrap_err();
    assert!(trap.to_string().contains("0 values for 1 parameters"));
    let buffer = machine.allocate(4);
    let memory = Value::Memory {
        buffer,
        offset: 0,
        bytes: 8,
    };
    assert!(
        machine
            .launch(&kernel, [1; 3], &[memory], &schedule)
            .is_err()
    );
    assert!(
        machine
            .launch(&kernel, [1; 3], &[Value::Word(1)], &schedule)
            .is_ok()
    );
}

/// The report of one warp that reads 16 bytes per lane at these distances and stores as much in
/// shared memory.
fn counted(stride: u32) -> Report {
    let kernel = kernel(32, |k| {
        let (input, output) = with_memory(k);
        let shared = k.shared(32 * 128, 16);
        let values: [U32<'_>; 4] = k.load(input + k.thread() * stride, Cache::Default);
        k.store_shared(shared + k.thread() * stride, values);
        k.store(output + k.thread() * 4, [k.u32(0)]);
    });
    let mut machine = Machine::new();
    let [input, output] = [4096, 4096].map(|bytes| machine.allocate(bytes));
    machine.write(input, 0, &[1; 4096]);
    let values = [input, output].map(|buffer| Value::Memory {
        buffer,
        offset: 0,
        bytes: 4096,
    });
    machine
        .launch(&kernel, [1; 3], &values, &Schedule::in_order())
        .unwrap()
}

#[test]
fn sectors_and_bank_conflicts_are_counted() {
    let near = counted(16);
    assert_eq!(
        (near.read_bytes, near.written_bytes, near.requested_bytes),
        (512, 128, 640)
    );
    assert_eq!((near.bank_conflicts, near.shared_accesses), (0, 1));
    let far = counted(128);
    assert_eq!((far.read_bytes, far.requested_bytes), (1024, 1152));
    assert_eq!(far.bank_conflicts, 4 * 7);
}

#[test]
fn everything_runs_in_blocks_of_a_grid() {
    let kernel = kernel(32, |k| {
        let (_, output) = with_memory(k);
        use crate::lang::Special as S;
        let [x, y, z, columns] = [S::BlockX, S::BlockY, S::BlockZ, S::GridX].map(|s| k.special(s));
        let number = (z * 2 + y) * columns + x;
        k.when(k.lane().equals(0), || {
            k.store(output + number * 4, [z * 100 + y * 10 + x]);
        });
    });
    let words = runs_on_grid(&kernel, [3, 2, 2]);
    assert_eq!(
        words[..12],
        [0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112]
    );
}

#[test]
fn accesses_ahead_of_the_wait_for_earlier_launches_are_found() {
    let follows = |early: bool, ends_without: bool| {
        kernel(64, |k| {
            let (input, output) = with_memory(k);
            let wait = || k.emit(Instruction::GridWait);
            let thread = k.thread();
            if !early {
                k.when(k.warp().equals(u32::from(ends_without) * 7), wait);
                k.barrier();
            }
            let [word] = k.load(input + thread * 4, Cache::Default);
            if early {
                wait();
            }
            k.store(output + thread * 4, [word]);
        })
    };
    let outcome = |early, ends_without, schedule: &Schedule| {
        let mut machine = Machine::new();
        let [input, output] = [256, 256].map(|bytes| machine.allocate(bytes));
        let memory = |buffer| Value::Memory {
            buffer,
            offset: 0,
            bytes: 256,
        };
        let first = kernel(64, |k| {
            let output = k.output("out");
            k.store(output + k.thread() * 4, [k.thread()]);
        });
        machine.launch(&first, [1; 3], &[memory(input)], schedule)?;
        let values = [memory(input), memory(output)];
        machine.launch(&follows(early, ends_without), [1; 3], &values, schedule)?;
        machine.read(output, 0, 256)
    };
    for schedule in schedules() {
        let early = outcome(true, false, &schedule).unwrap_err().to_string();
        assert!(early.contains("ahead of GridWait"), "{early}");
        assert!(outcome(false, true, &schedule).is_err());
        assert_eq!(outcome(false, false, &schedule).unwrap()[4], 1);
    }
}
