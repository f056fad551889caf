//! Tiny kernels: each fault is committed once and must be found, and its twin without the fault
//! must run under every schedule.

mod async_units;
mod memory;
mod products;
mod races;
mod registers;
mod units;

use super::schedule::Random;
use super::*;
use crate::lang::{Builder, Cache, Global, Kernel, Target, U32};

fn schedules() -> Vec<Schedule> {
    let adversarial = (0..5).map(Schedule::adversarial);
    std::iter::once(Schedule::in_order())
        .chain(adversarial)
        .collect()
}

fn kernel(threads: u32, write: impl FnOnce(&Builder)) -> Kernel {
    let builder = Builder::new("sample", Target::Sm90a, threads);
    write(&builder);
    builder.finish()
}

/// One block with 4096 bytes of input (each word its number) and 4096 of output.
fn run(kernel: &Kernel, schedule: &Schedule) -> Result<Vec<u32>, Trap> {
    run_grid(kernel, [1, 1, 1], schedule)
}

fn run_grid(kernel: &Kernel, grid: [u32; 3], schedule: &Schedule) -> Result<Vec<u32>, Trap> {
    let mut machine = Machine::new();
    let (input, output) = (machine.allocate(4096), machine.allocate(4096));
    let numbers: Vec<u8> = (0..1024u32).flat_map(u32::to_le_bytes).collect();
    machine.write(input, 0, &numbers);
    let bytes = 4096;
    let memory = |buffer| Value::Memory {
        buffer,
        offset: 0,
        bytes,
    };
    machine.launch(kernel, grid, &[memory(input), memory(output)], schedule)?;
    let (bytes, _) = machine.read_partly(output, 0, 4096)?;
    let words = bytes.chunks_exact(4).map(|word| word.try_into().unwrap());
    Ok(words.map(u32::from_le_bytes).collect())
}

/// A kernel with an input and an output, given as addresses.
fn with_memory<'k>(k: &'k Builder) -> (Global<'k>, Global<'k>) {
    (k.input("in"), k.output("out"))
}

#[test]
fn words_pass_through_shared_memory_to_other_threads() {
    let kernel = kernel(64, |k| {
        let (input, output) = with_memory(k);
        let shared = k.shared(256, 16);
        let thread = k.thread();
        let [word] = k.load(input + thread * 4, Cache::Default);
        k.store_shared(shared + thread * 4, [word]);
        k.barrier();
        let [other]: [U32<'_>; 1] = k.load_shared(shared + (thread ^ 63) * 4);
        k.store(output + thread * 4, [other]);
    });
    for schedule in schedules() {
        let words = run(&kernel, &schedule).unwrap();
        assert!((0..64).all(|thread| words[thread] == 63 - thread as u32));
    }
}

/// The kernel ends in a trap that says so, under every schedule.
fn traps(kernel: &Kernel, words: &str) {
    traps_on_grid(kernel, [1, 1, 1], words);
}

fn traps_on_grid(kernel: &Kernel, grid: [u32; 3], words: &str) {
    for schedule in schedules() {
        let trap = run_grid(kernel, grid, &schedule)
            .expect_err(words)
            .to_string();
        assert!(trap.contains(words), "{trap}");
    }
}

/// The kernel ends well under every schedule, each time with the same output.
fn runs(kernel: &Kernel) -> Vec<u32> {
    runs_on_grid(kernel, [1, 1, 1])
}

fn runs_on_grid(kernel: &Kernel, grid: [u32; 3]) -> Vec<u32> {
    let outcome = |schedule: &Schedule| {
        run_grid(kernel, grid, schedule).unwrap_or_else(|trap| panic!("{trap}"))
    };
    let first = outcome(&Schedule::in_order());
    for schedule in schedules() {
        assert_eq!(outcome(&schedule), first);
    }
    first
}
