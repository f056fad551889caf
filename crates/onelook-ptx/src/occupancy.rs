//! Occupancy: how many blocks of a kernel one multiprocessor holds at a time.
//!
//! Source: "Technical Specifications per Compute Capability" in NVIDIA's CUDA programming guide.

use crate::lang::Target;

/// 32-bit registers of one multiprocessor.
const REGISTERS: u32 = 64 << 10;
/// A multiprocessor has four schedulers, each with a quarter of the registers.
const QUARTERS: u32 = 4;
/// Registers are allocated to a warp in units of this many.
const REGISTER_PORTION: u32 = 256;

/// How many blocks fit one multiprocessor, given the threads of a block, the registers of a thread
/// and the shared memory of a block; 0 when not even one fits.
pub fn blocks_per_multiprocessor(
    target: Target,
    threads: u32,
    registers: u32,
    shared_bytes: u32,
) -> u32 {
    // Every resource limits the number of blocks by itself; the scarcest decides. A warp's
    // registers all come from one scheduler, so each scheduler holds a whole number of warps.
    let warps = threads.div_ceil(32).max(1);
    let portion = (registers.max(1) * 32).next_multiple_of(REGISTER_PORTION);
    let by_registers = REGISTERS / QUARTERS / portion * QUARTERS / warps;
    let by_threads = target.threads_per_multiprocessor() as u32 / (warps * 32);
    if shared_bytes as usize > target.shared_bytes_per_block() {
        return 0;
    }
    let shared = shared_bytes + reserved_shared_bytes(target);
    let shared = shared.next_multiple_of(shared_portion(target)).max(1);
    let by_shared = target.shared_bytes_per_multiprocessor() as u32 / shared;
    let most = blocks(target).min(by_threads);
    most.min(by_registers).min(by_shared)
}

/// The share of a multiprocessor's threads that its resident blocks fill, from 0 to 1.
pub fn occupancy(target: Target, threads: u32, registers: u32, shared_bytes: u32) -> f64 {
    let blocks = blocks_per_multiprocessor(target, threads, registers, shared_bytes);
    f64::from(blocks * threads) / target.threads_per_multiprocessor() as f64
}

/// The most resident blocks of a multiprocessor, whatever their size.
fn blocks(target: Target) -> u32 {
    match target {
        Target::Sm75 | Target::Sm86 => 16,
        Target::Sm89 | Target::Sm120 => 24,
        Target::Sm80 | Target::Sm90a | Target::Sm100 => 32,
    }
}

/// Shared memory of each block that the system reserves.
fn reserved_shared_bytes(target: Target) -> u32 {
    match target {
        Target::Sm75 => 0,
        _ => 1024,
    }
}

fn shared_portion(target: Target) -> u32 {
    match target {
        Target::Sm75 => 256,
        _ => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcest_resource_decides() {
        let blocks = blocks_per_multiprocessor;
        // Threads, registers, shared memory and the number of blocks, in turn.
        assert_eq!(blocks(Target::Sm80, 1024, 32, 0), 2);
        assert_eq!(blocks(Target::Sm80, 128, 128, 0), 4);
        assert_eq!(blocks(Target::Sm90a, 128, 32, 113 << 10), 2);
        assert_eq!(blocks(Target::Sm90a, 128, 32, 114 << 10), 1);
        assert_eq!(blocks(Target::Sm86, 32, 16, 0), 16);
        // Four warps of one scheduler, not four and a quarter.
        assert_eq!(blocks(Target::Sm80, 32, 120, 0), 16);
        assert_eq!(blocks(Target::Sm75, 256, 64, 32 << 10), 2);
    }

    #[test]
    fn a_block_that_asks_for_too_much_does_not_fit() {
        assert_eq!(
            blocks_per_multiprocessor(Target::Sm75, 256, 32, 65 << 10),
            0
        );
        assert_eq!(blocks_per_multiprocessor(Target::Sm80, 1024, 128, 0), 0);
    }

    #[test]
    fn occupancy_is_a_part_of_all_threads() {
        assert_eq!(occupancy(Target::Sm80, 256, 64, 0), 0.5);
        assert_eq!(occupancy(Target::Sm86, 128, 32, 0), 1.0);
    }
}
