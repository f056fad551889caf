//! Prints the rate of every convolution shape of yolo11n at 640 pixels on one thread, beside this core's FMA peak.
//!
//! `cargo run --release -p onelook-cpu --example conv_rates [part of a line [bf16]]`; `ONELOOK_ISA` forces a
//! level. The peak is that of f32, whatever the type.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use onelook_cpu::isa::Isa;
use onelook_cpu::kernels::conv::{Conv, ConvShape, ConvWeights};
use onelook_cpu::kernels::stem::Stem;
use onelook_cpu::kernels::{Activation, AlignedBuffer, Element, MapLayout, MapMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Times in the network, inputs, outputs, kernel, stride, side of the input.
const SHAPES: &[(usize, usize, usize, usize, usize, usize)] = &[
    (1, 3, 16, 3, 2, 640),
    (1, 16, 32, 3, 2, 320),
    (1, 32, 32, 1, 1, 160),
    (1, 16, 8, 3, 1, 160),
    (1, 8, 16, 3, 1, 160),
    (1, 48, 64, 1, 1, 160),
    (1, 64, 64, 3, 2, 160),
    (1, 64, 64, 1, 1, 80),
    (2, 32, 16, 3, 1, 80),
    (2, 16, 32, 3, 1, 80),
    (1, 96, 128, 1, 1, 80),
    (1, 128, 128, 3, 2, 80),
    (1, 128, 128, 1, 1, 40),
    (2, 64, 32, 1, 1, 40),
    (4, 32, 32, 3, 1, 40),
    (1, 64, 64, 1, 1, 40),
    (3, 192, 128, 1, 1, 40),
    (1, 128, 256, 3, 2, 40),
    (2, 256, 256, 1, 1, 20),
    (4, 128, 64, 1, 1, 20),
    (8, 64, 64, 3, 1, 20),
    (2, 128, 128, 1, 1, 20),
    (2, 384, 256, 1, 1, 20),
    (1, 256, 128, 1, 1, 20),
    (1, 512, 256, 1, 1, 20),
    (1, 384, 128, 1, 1, 40),
    (2, 64, 32, 3, 1, 40),
    (2, 32, 64, 3, 1, 40),
    (1, 256, 64, 1, 1, 80),
    (1, 64, 64, 3, 2, 80),
    (1, 128, 128, 3, 2, 40),
    (2, 64, 64, 3, 1, 80),
    (1, 128, 64, 3, 1, 40),
    (1, 64, 64, 3, 1, 40),
    (1, 256, 64, 3, 1, 20),
    (1, 64, 80, 1, 1, 80),
    (2, 80, 80, 1, 1, 80),
    (1, 128, 80, 1, 1, 40),
    (1, 256, 80, 1, 1, 20),
];

fn main() {
    let isa = Isa::detect().unwrap();
    let filter = std::env::args().nth(1).unwrap_or_default();
    let element = match std::env::args().nth(2).as_deref() {
        Some("bf16") => Element::Bf16,
        _ => Element::F32,
    };
    let peak = peak(isa);
    println!("{}: FMA peak {peak:.1} GFLOP/s", isa.name());
    let (mut total_ms, mut total_operations) = (0.0, 0.0);
    for &(times, inputs, outputs, kernel, stride, side) in SHAPES {
        let name = format!(
            "{kernel}x{kernel} s{stride} {inputs}->{outputs}@{}",
            side / stride
        );
        if !name.contains(&filter) {
            continue;
        }
        let (seconds, operations, tiles) =
            measure(isa, inputs, outputs, kernel, stride, side, element);
        let rate = operations / seconds * 1e-9;
        println!(
            "{times} x {name:26} {:8.3} ms {rate:7.1} GFLOP/s {:5.1} %  {tiles}",
            seconds * 1e3,
            rate / peak * 100.0
        );
        total_ms += seconds * 1e3 * times as f64;
        total_operations += operations * times as f64;
    }
    let rate = total_operations / total_ms * 1e-6;
    println!(
        "sum {total_ms:.2} ms, {:.2} GFLOP, {rate:.1} GFLOP/s, {:.1} %",
        total_operations * 1e-9,
        rate / peak * 100.0
    );
}

/// The best time of one image, its operations, and how it is tiled.
fn measure(
    isa: Isa,
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    side: usize,
    element: Element,
) -> (f64, f64, String) {
    let pad = kernel / 2;
    let out_side = (side + 2 * pad - kernel) / stride + 1;
    let shape = ConvShape {
        inputs,
        outputs,
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [pad; 2],
        dilation: [1; 2],
    };
    let weight = vec![0.01; inputs * outputs * kernel * kernel];
    let output_layout = MapLayout::new(outputs, out_side, out_side, 1).of(element);
    let mut output = AlignedBuffer::zeroed(output_layout.image_words());
    // SAFETY: the buffer holds the map.
    let target = unsafe {
        MapMut::new(
            output.as_mut_ptr(),
            output_layout,
            output_layout.image_words(),
        )
    };
    let operations = shape.operations(out_side * out_side) as f64;
    let limit = Duration::from_millis(150);
    if inputs == 3 {
        let image = vec![0.5; 3 * side * side];
        let stem = Stem::new(
            isa,
            shape,
            &weight,
            None,
            Activation::Silu,
            [side, side],
            output_layout,
            1,
        )
        .unwrap();
        let mut scratch = AlignedBuffer::zeroed(stem.scratch_floats());
        let seconds = best(limit, || {
            for task in 0..stem.tasks(1) {
                // SAFETY: the extents are the plan's.
                unsafe { stem.run(image.as_ptr(), image.len(), target, &mut scratch, task) }
            }
        });
        return (seconds, operations, stem.describe());
    }
    let input_layout = MapLayout::new(inputs, side, side, 1).of(element);
    let weights = Arc::new(ConvWeights::pack(shape, &weight, None, element).unwrap());
    let conv = Conv::new(
        isa,
        weights,
        Activation::Silu,
        input_layout,
        output_layout,
        1,
    )
    .unwrap();
    let mut input = AlignedBuffer::zeroed(input_layout.image_words());
    // SAFETY: the buffer holds the map.
    let source =
        unsafe { MapMut::new(input.as_mut_ptr(), input_layout, input_layout.image_words()) }.view();
    let seconds = best(limit, || {
        for task in 0..conv.tasks(1) {
            // SAFETY: the extents are the plan's.
            unsafe { conv.run(source, None, target, task) }
        }
    });
    (seconds, operations, conv.describe())
}

fn best(limit: Duration, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut best = f64::MAX;
    while start.elapsed() < limit {
        let one = Instant::now();
        run();
        best = best.min(one.elapsed().as_secs_f64());
    }
    best
}

/// GFLOP/s of independent FMAs in registers; unknown for the portable level.
fn peak(isa: Isa) -> f64 {
    if isa == Isa::Portable {
        return f64::NAN;
    }
    const ROUNDS: usize = 200_000;
    let (lanes, chains) = match isa {
        Isa::Avx512Bf16(_) | Isa::Avx512(_) => (16, 24),
        _ => (8, 12),
    };
    let seconds = best(Duration::from_millis(100), || {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the tokens prove the levels.
        unsafe {
            match isa {
                Isa::Avx512Bf16(_) | Isa::Avx512(_) => fma_chains_avx512(ROUNDS),
                Isa::Avx2(_) => fma_chains_avx2(ROUNDS),
                Isa::Portable => {}
            }
        }
    });
    (2 * lanes * chains * ROUNDS) as f64 / seconds * 1e-9
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn fma_chains_avx512(rounds: usize) {
    use std::arch::x86_64::*;
    let mut sums = [_mm512_set1_ps(0.0); 24];
    let factor = std::hint::black_box(_mm512_set1_ps(0.5));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, factor);
        }
    }
    std::hint::black_box(sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fma_chains_avx2(rounds: usize) {
    use std::arch::x86_64::*;
    let mut sums = [_mm256_set1_ps(0.0); 12];
    let factor = std::hint::black_box(_mm256_set1_ps(0.5));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, factor);
        }
    }
    std::hint::black_box(sums);
}
