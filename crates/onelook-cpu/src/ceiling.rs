//! How fast this machine multiplies and adds at most: the ceiling that kernels are held against.
//!
//! Comes in: an instruction set and the threads of the engine. Goes out: GFLOP/s of fused multiply-adds on registers
//! alone. It takes some tens of milliseconds of all threads, so only benchmarks ask for it.
//!
//! ```text
//! repeat: for each of N values: value = value * a + b      (none waits for another; no memory is touched)
//! ```

use std::hint::black_box;
use std::time::Instant;

use crate::isa::{Isa, Vector16, per_isa};
use crate::threads::ThreadPool;

/// Sums of one level: enough to fill the pipelines, few enough for its registers with two factors.
const SUMS_AVX512: usize = 12;
const SUMS_AVX2: usize = 6;
const SUMS_PORTABLE: usize = 3;

/// Multiplications and additions of one task: parts of a millisecond, so that threads even out.
const TASK_FLOPS: usize = 1 << 25;
/// The chains tend to `ADDEND / (1 - FACTOR)`: no infinity and no denormal slows them down.
const FACTOR: f32 = 0.5;
const ADDEND: f32 = 1.0;

const TASKS_PER_THREAD: usize = 24;
const REPETITIONS: usize = 8;

/// GFLOP/s of f32 multiply-adds on all threads of the pool, the best of a few measurements.
pub(crate) fn measure_f32(isa: Isa, threads: &ThreadPool) -> f64 {
    let (sums, flops_run) = match isa {
        Isa::Avx512Bf16(_) | Isa::Avx512(_) => (SUMS_AVX512, run_avx512 as Run),
        Isa::Avx2(_) => (SUMS_AVX2, run_avx2 as Run),
        Isa::Portable => (SUMS_PORTABLE, run_portable as Run),
    };
    let flops_per_round = sums * 16 * 2;
    let rounds = TASK_FLOPS / flops_per_round;
    let tasks = TASKS_PER_THREAD * threads.threads();
    let flops = (tasks * rounds * flops_per_round) as f64;
    let once = |_| {
        let start = Instant::now();
        threads.run(tasks, &|_, _| {
            let mut sum = 0.0;
            // SAFETY: `isa` proves its level, and `sum` can be written.
            unsafe { flops_run(isa, rounds, &mut sum) };
            black_box(sum);
        });
        flops / 1e9 / start.elapsed().as_secs_f64().max(f64::MIN_POSITIVE)
    };
    (0..REPETITIONS).map(once).fold(0.0, f64::max)
}

type Run = unsafe fn(Isa, usize, *mut f32);

per_isa! {
    /// Runs the chains of the AVX-512 level.
    fn run_avx512(rounds: usize, sum: *mut f32) = chains_avx512
}
per_isa! {
    /// Runs the chains of the AVX2 level.
    fn run_avx2(rounds: usize, sum: *mut f32) = chains_avx2
}
per_isa! {
    /// Runs the chains of the portable level.
    fn run_portable(rounds: usize, sum: *mut f32) = chains_portable
}

/// # Safety
/// As [`chains`].
#[inline(always)]
unsafe fn chains_avx512<V: Vector16>(rounds: usize, sum: *mut f32) {
    // SAFETY: the caller guarantees the level and that `sum` can be written.
    unsafe { chains::<V, SUMS_AVX512>(rounds, sum) }
}

/// # Safety
/// As [`chains`].
#[inline(always)]
unsafe fn chains_avx2<V: Vector16>(rounds: usize, sum: *mut f32) {
    // SAFETY: the caller guarantees the level and that `sum` can be written.
    unsafe { chains::<V, SUMS_AVX2>(rounds, sum) }
}

/// # Safety
/// As [`chains`].
#[inline(always)]
unsafe fn chains_portable<V: Vector16>(rounds: usize, sum: *mut f32) {
    // SAFETY: the caller guarantees the level and that `sum` can be written.
    unsafe { chains::<V, SUMS_PORTABLE>(rounds, sum) }
}

/// `rounds` multiply-adds of each of `SUMS` vectors; what they add up to goes to `sum`, so that nothing is left out.
///
/// # Safety
/// The CPU offers the level of `V`, and `sum` can be written.
#[inline(always)]
unsafe fn chains<V: Vector16, const SUMS: usize>(rounds: usize, sum: *mut f32) {
    // SAFETY: the caller guarantees the level and that `sum` can be written.
    unsafe {
        let factor = V::splat(black_box(FACTOR));
        let addend = V::splat(black_box(ADDEND));
        // Values that the compiler cannot know: it would compute equal chains once.
        let mut sums = [addend; SUMS];
        for (number, sum) in sums.iter_mut().enumerate() {
            *sum = V::splat(black_box(number as f32));
        }
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = sum.mul_add(factor, addend);
            }
        }
        let total = sums[1..].iter().fold(sums[0], |total, &sum| total.add(sum));
        *sum = total.horizontal_sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_add_up_what_they_say() {
        for isa in Isa::available() {
            for (run, sums) in [
                (run_avx512 as Run, SUMS_AVX512),
                (run_avx2 as Run, SUMS_AVX2),
                (run_portable as Run, SUMS_PORTABLE),
            ] {
                let mut sum = 0.0;
                // SAFETY: `isa` proves its level, and `sum` can be written.
                unsafe { run(isa, 10, &mut sum) };
                // Each lane halves its distance from 2 ten times.
                let lanes = (0..sums).map(|number| 2.0 + (number as f32 - 2.0) / 1024.0);
                let expected = 16.0 * lanes.sum::<f32>();
                assert!((sum - expected).abs() < 1e-3, "{isa:?}: {sum} {expected}");
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "hours in miri")]
    fn every_level_has_a_ceiling() {
        for isa in Isa::available() {
            let gflops = measure_f32(isa, &ThreadPool::new(1));
            assert!(gflops > 0.0 && gflops.is_finite(), "{isa:?}: {gflops}");
        }
    }
}
