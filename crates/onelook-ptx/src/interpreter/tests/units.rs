//! What works beside the threads: `mbarrier`, tensor copies, `wgmma`.

use half::f16;

use super::*;
use crate::lang::{Descriptor, F32, MatrixA, SharedAddress, Swizzle};

/// A tensor of 8 rows of 32 f16 values, each its number.
const ROWS: u64 = 8;
const COLUMNS: u64 = 32;

struct Outcome {
    words: Vec<u32>,
}

/// Runs a kernel with an output of 4096 bytes and tensor maps over the numbers 0, 1... in f16.
fn run_maps(
    kernel: &Kernel,
    schedule: &Schedule,
    values: &[f16],
    maps: impl Fn(Buffer) -> Vec<TensorMap>,
) -> Result<Outcome, Trap> {
    let mut machine = Machine::new();
    let (input, output) = (
        machine.allocate(values.len() * 2),
        machine.allocate(4096 * 8),
    );
    let bytes: Vec<u8> = values.iter().flat_map(|half| half.to_le_bytes()).collect();
    machine.write(input, 0, &bytes);
    let bytes = 4096 * 8;
    let mut values = vec![Value::Memory {
        buffer: output,
        offset: 0,
        bytes,
    }];
    values.extend(maps(input).into_iter().map(Value::TensorMap));
    machine.launch(kernel, [1; 3], &values, schedule)?;
    let (bytes, _) = machine.read_partly(output, 0, bytes)?;
    let words = bytes.chunks_exact(4).map(|word| word.try_into().unwrap());
    let words = words.map(u32::from_le_bytes).collect();
    Ok(Outcome { words })
}

fn numbers() -> Vec<f16> {
    (0..ROWS * COLUMNS)
        .map(|number| f16::from_bits(number as u16))
        .collect()
}

fn rows_of(buffer: Buffer, swizzle: Swizzle) -> TensorMap {
    TensorMap {
        buffer,
        offset: 0,
        element_bytes: 2,
        extents: vec![COLUMNS, ROWS],
        strides: vec![COLUMNS * 2],
        element_strides: vec![1, 1],
        mode: CopyMode::Tiled(vec![8, 4]),
        swizzle,
    }
}

/// What a copying kernel leaves out.
#[derive(Clone, Copy, PartialEq)]
enum Without {
    Nothing,
    ProxyFence,
    Barrier,
    Wait,
    Expectation,
    Bytes,
}

/// Thread 0 sends for 4 rows of 8 f16 values from column 28 and row 6 on; all read them.
fn copies_box(without: Without) -> Kernel {
    kernel(64, |k| {
        let output = k.output("out");
        let map = k.tensor_map("map");
        let (shared, barrier, thread) = (k.shared(64, 128), k.shared(8, 8), k.thread());
        k.when(thread.equals(0), || {
            k.mbarrier_init(barrier, 1);
            if without != Without::ProxyFence {
                k.proxy_fence();
            }
        });
        if without != Without::Barrier {
            k.barrier();
        }
        k.when(thread.equals(0), || {
            match without {
                Without::Expectation => {}
                Without::Bytes => k.mbarrier_expect(barrier, k.u32(80)),
                _ => k.mbarrier_expect(barrier, k.u32(64)),
            }
            k.tensor_load(shared, map, &[k.u32(28), k.u32(6)], &[], barrier);
        });
        if without != Without::Wait {
            k.mbarrier_wait(barrier, k.u32(0));
        } else {
            k.barrier();
        }
        k.when(thread.less(16), || {
            let [word]: [U32<'_>; 1] = k.load_shared(shared + thread * 4);
            k.store(output + thread * 4, [word]);
        });
    })
}

fn box_outcome(without: Without, schedule: &Schedule) -> Result<Outcome, Trap> {
    let maps = |buffer| vec![rows_of(buffer, Swizzle::None)];
    run_maps(&copies_box(without), schedule, &numbers(), maps)
}

#[test]
fn boxes_arrive_with_zeros_outside_of_the_tensor() {
    for schedule in schedules() {
        let words = box_outcome(Without::Nothing, &schedule).unwrap().words;
        let pair = |row: u32, column: u32| (row * 32 + column) | (row * 32 + column + 1) << 16;
        let expected = [
            pair(6, 28),
            pair(6, 30),
            0,
            0,
            pair(7, 28),
            pair(7, 30),
            0,
            0,
        ];
        assert_eq!(words[..8], expected);
        assert_eq!(words[8..16], [0; 8]);
    }
}

#[test]
fn what_a_tensor_copy_needs_is_missed() {
    for (without, words) in [
        (Without::ProxyFence, "no ProxyFence"),
        (Without::Wait, "asynchronous copy"),
        (Without::Expectation, "deadlock"),
        (Without::Bytes, "deadlock"),
    ] {
        for schedule in schedules() {
            let Err(trap) = box_outcome(without, &schedule) else {
                panic!("{words} expected");
            };
            let late = without == Without::Wait && trap.what.contains("race");
            assert!(trap.what.contains(words) || late, "{trap}");
        }
    }
    for schedule in schedules() {
        let Err(trap) = box_outcome(Without::Barrier, &schedule) else {
            panic!("a race expected");
        };
        let all = ["race", "no mbarrier"];
        assert!(all.iter().any(|words| trap.what.contains(words)), "{trap}");
    }
}

#[test]
fn a_deadlock_tells_who_waits_where() {
    let trap = box_outcome(Without::Bytes, &Schedule::in_order())
        .err()
        .unwrap();
    assert!(
        trap.what
            .contains("warp 0 waits for parity 0 of the mbarrier at byte 64"),
        "{trap}"
    );
    assert!(
        trap.what.contains("lacks 0 of 1 arrivals and 16 bytes"),
        "{trap}"
    );
}

#[test]
fn windows_arrive_pixel_by_pixel() {
    let (width, height, images, channels) = (5i64, 4i64, 2i64, 8i64);
    let values: Vec<f16> = (0..width * height * images * channels)
        .map(|number| f16::from_bits(number as u16 + 1))
        .collect();
    for stride in [1, 2] {
        let kernel = kernel(32, |k| {
            let (output, map) = (k.output("out"), k.tensor_map("map"));
            let (shared, barrier, thread) = (k.shared(512, 128), k.shared(8, 8), k.thread());
            k.when(thread.equals(0), || {
                k.mbarrier_init(barrier, 1);
                k.proxy_fence();
            });
            k.barrier();
            for tap in 0..9 {
                k.when(thread.equals(0), || {
                    k.mbarrier_expect(barrier, k.u32(512));
                    let at = [k.u32(0), k.u32(u32::MAX), k.u32(u32::MAX), k.u32(0)];
                    let window = [k.u32(tap % 3), k.u32(tap / 3)];
                    k.tensor_load(shared, map, &at, &window, barrier);
                });
                k.mbarrier_wait(barrier, k.u32(tap % 2));
                let words: [U32<'_>; 4] = k.load_shared(shared + thread * 16);
                k.store(output + (thread * 16 + tap * 512), words);
                k.barrier();
            }
        });
        let maps = |buffer| {
            vec![TensorMap {
                buffer,
                offset: 0,
                element_bytes: 2,
                extents: [channels, width, height, images].map(|n| n as u64).to_vec(),
                strides: vec![16, 16 * width as u64, 16 * (width * height) as u64],
                element_strides: vec![1, stride as u32, stride as u32, 1],
                mode: CopyMode::Im2col {
                    lower: vec![-1, -1],
                    upper: vec![-1, -1],
                    channels: 8,
                    pixels: 32,
                },
                swizzle: Swizzle::None,
            }]
        };
        for schedule in schedules() {
            let words = run_maps(&kernel, &schedule, &values, maps).unwrap().words;
            let (columns, rows) = (
                (width + stride - 1) / stride,
                (height + stride - 1) / stride,
            );
            for tap in 0..9 {
                for pixel in 0..32 {
                    let (x, y) = (pixel % columns, pixel / columns % rows);
                    let image = pixel / columns / rows;
                    let (x, y) = (x * stride - 1 + tap % 3, y * stride - 1 + tap / 3);
                    let inside = (0..width).contains(&x) && (0..height).contains(&y);
                    let first = ((image * height + y) * width + x) * 8 + 1;
                    let expected = if inside && image < images { first } else { 0 };
                    let found = words[(tap * 128 + pixel * 4) as usize] & 0xffff;
                    assert_eq!(
                        found, expected as u32,
                        "tap {tap} pixel {pixel} stride {stride}"
                    );
                }
            }
        }
    }
}

/// What a multiplying kernel does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    Nothing,
    NoProxyFence,
    NoWait,
    NoWgmmaFence,
    Overwrites,
    ChangesSums,
}

const N: u32 = 24;
const K: u32 = 32;

/// 64 x 24 sums over k = 32, both matrices in shared memory as a tensor copy with this exchange
/// would leave them; `out` gets the sums of each lane.
fn multiplies(swizzle: Swizzle, wrong: Wrong) -> Kernel {
    kernel(128, |k| {
        let (output, numbers) = (k.output("out"), k.input("numbers"));
        let (a, b) = (k.shared(64 * 128, 1024), k.shared(N * 128, 1024));
        let thread = k.thread();
        fill(k, numbers, a, 64, swizzle);
        fill(k, numbers + 64 * K * 2, b, N, swizzle);
        if wrong != Wrong::NoProxyFence {
            k.proxy_fence();
        }
        k.barrier();
        let sums: Vec<F32<'_>> = (0..N / 2).map(|_| k.float_variable(1.0)).collect();
        if wrong != Wrong::NoWgmmaFence {
            k.wgmma_fence();
        }
        for step in 0..K / 16 {
            let [a, b] = [(a, 64), (b, N)].map(|(at, rows)| operand(k, at, rows, step, swizzle));
            k.wgmma(N, &sums, MatrixA::Shared(a), b, true);
        }
        k.wgmma_commit();
        if wrong == Wrong::Overwrites {
            k.store_shared(b + thread * 4, [k.u32(0)]);
        }
        if wrong == Wrong::ChangesSums {
            k.assign(sums[3], k.f32(0.0));
        }
        if wrong == Wrong::NoWait {
            k.wgmma_wait(1);
        } else {
            k.wgmma_wait(0);
        }
        for (index, &sum) in sums.iter().enumerate() {
            k.store(output + (thread * (N * 2) + index as u32 * 4), [sum]);
        }
        k.wgmma_wait(0);
    })
}

/// Bytes from row to row.
fn pitch(swizzle: Swizzle) -> u32 {
    match swizzle {
        Swizzle::None => 16,
        Swizzle::Bytes32 => 32,
        Swizzle::Bytes64 => 64,
        Swizzle::Bytes128 => 128,
    }
}

/// Where 16 bytes of a row lie: rows of `pitch` bytes one after the other, as many columns of rows
/// as k needs.
fn piece(row: u32, piece: u32, rows: u32, swizzle: Swizzle) -> u32 {
    let pitch = pitch(swizzle);
    let at = (piece * 16 / pitch) * rows * pitch + row * pitch + piece * 16 % pitch;
    let mask = (pitch / 16 - 1) & 7;
    at ^ (((at >> 7) & mask) << 4)
}

fn fill<'k>(k: &'k Builder, from: Global<'k>, to: SharedAddress<'k>, rows: u32, swizzle: Swizzle) {
    for number in 0..rows * K / 8 {
        let (row, part) = (number / (K / 8), number % (K / 8));
        k.when(k.thread().equals(number % 128), || {
            let words: [U32<'_>; 4] = k.load(from + number * 16, Cache::Default);
            k.store_shared(to + piece(row, part, rows, swizzle), words);
        });
    }
}

fn operand<'k>(
    k: &'k Builder,
    at: SharedAddress<'k>,
    rows: u32,
    step: u32,
    swizzle: Swizzle,
) -> crate::lang::Reg64 {
    let pitch = pitch(swizzle);
    let bytes = step * 32;
    let first = (bytes / pitch) * rows * pitch + bytes % pitch;
    let layout = Descriptor {
        leading_bytes: rows * 16,
        stride_bytes: 8 * pitch,
        swizzle,
    };
    k.descriptor(at + first, layout)
}

fn product(swizzle: Swizzle, wrong: Wrong, schedule: &Schedule) -> Result<Vec<u32>, Trap> {
    let mut machine = Machine::new();
    let numbers = matrices();
    let (input, output) = (
        machine.allocate(numbers.len() * 2),
        machine.allocate(128 * 48),
    );
    let bytes: Vec<u8> = numbers.iter().flat_map(|half| half.to_le_bytes()).collect();
    machine.write(input, 0, &bytes);
    let memory = |buffer, bytes| Value::Memory {
        buffer,
        offset: 0,
        bytes,
    };
    let values = [memory(output, 128 * 48), memory(input, bytes.len())];
    machine.launch(&multiplies(swizzle, wrong), [1; 3], &values, schedule)?;
    let bytes = machine.read(output, 0, 128 * 48)?;
    let words = bytes.chunks_exact(4).map(|word| word.try_into().unwrap());
    Ok(words.map(u32::from_le_bytes).collect())
}

/// Both matrices with k innermost.
fn matrices() -> Vec<f16> {
    let mut random = Random(7);
    let count = (64 + N) * K;
    (0..count)
        .map(|_| f16::from_f32((random.next() % 17) as f32 - 8.0))
        .collect()
}

#[test]
fn products_of_four_warps_are_those_of_plain_loops() {
    let all = matrices();
    let value = |row: u32, k: u32| all[(row * K + k) as usize].to_f32();
    for swizzle in [
        Swizzle::None,
        Swizzle::Bytes32,
        Swizzle::Bytes64,
        Swizzle::Bytes128,
    ] {
        for schedule in schedules() {
            let words = product(swizzle, Wrong::Nothing, &schedule);
            let words = words.unwrap_or_else(|trap| panic!("{swizzle:?}: {trap}"));
            for thread in 0..128u32 {
                for index in 0..N / 2 {
                    let row = thread / 32 * 16 + thread % 32 / 4 + index % 4 / 2 * 8;
                    let column = index / 4 * 8 + thread % 4 * 2 + index % 2;
                    let sum: f32 = (0..K).map(|k| value(row, k) * value(64 + column, k)).sum();
                    let found = f32::from_bits(words[(thread * N / 2 + index) as usize]);
                    assert_eq!(found, sum + 1.0, "{swizzle:?} {row} {column}");
                }
            }
        }
    }
}

#[test]
fn what_products_of_four_warps_need_is_missed() {
    for (wrong, words) in [
        (Wrong::NoProxyFence, "no ProxyFence since"),
        (Wrong::NoWait, "wgmma still is at it"),
        (Wrong::NoWgmmaFence, "no WgmmaFence"),
        (Wrong::Overwrites, "writes byte"),
        (Wrong::ChangesSums, "while wgmma under way uses it"),
    ] {
        for schedule in schedules() {
            let trap = product(Swizzle::Bytes128, wrong, &schedule).unwrap_err();
            assert!(trap.what.contains(words), "{trap}");
        }
    }
}

/// Two warps that hand a buffer to and fro: the producer fills it when it is empty, the consumer
/// empties it when it is full.
fn to_and_fro(waits_for_empty: bool, meets: bool) -> Kernel {
    kernel(64, |k| {
        let output = k.output("out");
        let [full, empty] = [0, 1].map(|_| k.shared(8, 8));
        let (shared, lane) = (k.shared(128, 16) + k.lane() * 4, k.lane());
        k.when(k.thread().equals(0), || {
            k.mbarrier_init(full, 32);
            k.mbarrier_init(empty, 1);
        });
        k.barrier();
        k.when_else(
            k.warp().equals(0),
            || {
                k.count(0, 6, 1, |turn| {
                    if waits_for_empty {
                        k.mbarrier_wait(empty, (turn + 1) % 2);
                    }
                    k.store_shared(shared, [turn * 100 + lane]);
                    k.mbarrier_arrive(full);
                });
            },
            || {
                let sum = k.variable(k.u32(0));
                k.count(0, 6, 1, |turn| {
                    k.mbarrier_wait(full, turn % 2);
                    let [word]: [U32<'_>; 1] = k.load_shared(shared);
                    k.assign(sum, sum + word);
                    if meets {
                        k.warp_barrier();
                    }
                    k.when(lane.equals(0), || k.mbarrier_arrive(empty));
                });
                k.store(output + lane * 4, [sum]);
            },
        );
    })
}

#[test]
fn barriers_in_memory_order_those_who_arrive_before_those_who_wait() {
    for schedule in schedules() {
        let outcome = |kernel: &Kernel| run_maps(kernel, &schedule, &numbers(), |_| Vec::new());
        let words = outcome(&to_and_fro(true, true))
            .unwrap_or_else(|trap| panic!("{trap}"))
            .words;
        assert_eq!(words[..2], [1500, 1506]);
        let early = outcome(&to_and_fro(false, true)).err().unwrap().what;
        let all = ["race", "arrivals are there", "deadlock"];
        assert!(all.iter().any(|words| early.contains(words)), "{early}");
        let apart = outcome(&to_and_fro(true, false)).err().unwrap();
        assert!(apart.what.contains("race: writes"), "{apart}");
    }
}
