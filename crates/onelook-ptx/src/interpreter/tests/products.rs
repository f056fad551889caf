//! Matrix products and the loads of their fragments, against plain loops.

use half::f16;

use super::*;
use crate::lang::{F16x2, Instruction, MmaShape, Reg};

/// Runs one warp on words of input; words of output per lane.
fn one_warp(kernel: &Kernel, input: &[u32]) -> Vec<u32> {
    let mut machine = Machine::new();
    let bytes = input.len() * 4;
    let [from, to] = [bytes, 4096].map(|bytes| machine.allocate(bytes));
    let words: Vec<u8> = input.iter().flat_map(|word| word.to_le_bytes()).collect();
    machine.write(from, 0, &words);
    let memory = |buffer, bytes| Value::Memory {
        buffer,
        offset: 0,
        bytes,
    };
    let values = [memory(from, bytes), memory(to, 4096)];
    machine
        .launch(kernel, [1; 3], &values, &Schedule::in_order())
        .unwrap();
    let (bytes, _) = machine.read_partly(to, 0, 4096).unwrap();
    let words = bytes.chunks_exact(4).map(|word| word.try_into().unwrap());
    words.map(u32::from_le_bytes).collect()
}

fn noise(count: usize, seed: u64) -> Vec<u64> {
    let mut random = Random(seed);
    (0..count).map(|_| random.next()).collect()
}

/// A kernel that loads `a`, `b` and sums from a word per register and lane, and stores the sums.
fn multiplies(shape: MmaShape, a: usize, b: usize) -> Kernel {
    kernel(32, |k| {
        let (input, output) = with_memory(k);
        let registers: Vec<Reg> = (0..a + b + 4)
            .map(|index| {
                let at = input + (k.lane() * 4 + index as u32 * 128);
                let [word]: [U32<'_>; 1] = k.load(at, Cache::Default);
                word.register()
            })
            .collect();
        let d = [0, 1, 2, 3].map(|i| registers[a + b + i]);
        k.emit(Instruction::Mma {
            shape,
            d,
            a: registers[..a].to_vec(),
            b: registers[a..a + b].to_vec(),
        });
        k.store(output + k.lane() * 16, d.map(|d| U32::in_register(k, d)));
    })
}

/// The words of a lane that hold these rows and columns, as the PTX ISA has them.
fn words_of(value: impl Fn(usize, usize) -> u32, a: usize, b: bool) -> Vec<u32> {
    let mut words = Vec::new();
    for register in 0..a {
        for lane in 0..32 {
            let (group, pair) = (lane / 4, lane % 4 * 2);
            let (row, k) = if b {
                (group, pair + 8 * register)
            } else {
                (group + 8 * (register % 2), pair + 8 * (register / 2))
            };
            words.push(value(row, k) | value(row, k + 1) << 16);
        }
    }
    words
}

#[test]
fn products_of_halves_are_those_of_plain_loops() {
    for (shape, depth) in [(MmaShape::M16N8K8, 8), (MmaShape::M16N8K16, 16)] {
        let small = |bits: &u64| f16::from_f32((bits % 2001) as f32 / 1000.0 - 1.0);
        let a: Vec<f16> = noise(16 * depth, 1).iter().map(small).collect();
        let b: Vec<f16> = noise(8 * depth, 2).iter().map(small).collect();
        let bits = |of: &[f16], row: usize, k: usize| u32::from(of[row * depth + k].to_bits());
        let mut input = words_of(|row, k| bits(&a, row, k), depth / 4, false);
        input.extend(words_of(|row, k| bits(&b, row, k), depth / 8, true));
        input.extend(
            noise(128, 3)
                .iter()
                .map(|bits| ((bits % 100) as f32).to_bits()),
        );
        let first = input[input.len() - 128..].to_vec();
        let out = one_warp(&multiplies(shape, depth / 4, depth / 8), &input);
        for lane in 0..32 {
            for register in 0..4 {
                let (row, column) = (lane / 4 + register / 2 * 8, lane % 4 * 2 + register % 2);
                let products = (0..depth).map(|k| {
                    f64::from(a[row * depth + k].to_f32())
                        * f64::from(b[column * depth + k].to_f32())
                });
                let start = f64::from(f32::from_bits(first[register * 32 + lane]));
                let expected = start + products.sum::<f64>();
                let found = f64::from(f32::from_bits(out[lane * 4 + register]));
                assert!((found - expected).abs() < 1e-4, "{found} {expected}");
            }
        }
    }
}

#[test]
fn products_of_bytes_are_those_of_plain_loops() {
    let byte = |bits: &u64| (bits % 255) as i32 - 127;
    let a: Vec<i32> = noise(16 * 32, 4).iter().map(byte).collect();
    let b: Vec<i32> = noise(8 * 32, 5).iter().map(byte).collect();
    let four = |of: &[i32], row: usize, k: usize| {
        let bytes = [0, 1, 2, 3].map(|i| of[row * 32 + k + i] as u8);
        u32::from_le_bytes(bytes)
    };
    let mut input = Vec::new();
    for register in 0..4 {
        let place = |lane: usize| {
            (
                lane / 4 + 8 * (register % 2),
                lane % 4 * 4 + 16 * (register / 2),
            )
        };
        input.extend((0..32).map(place).map(|(row, k)| four(&a, row, k)));
    }
    for register in 0..2 {
        input.extend((0..32).map(|lane| four(&b, lane / 4, lane % 4 * 4 + 16 * register)));
    }
    input.extend([5; 128]);
    let out = one_warp(&multiplies(MmaShape::M16N8K32Bytes, 4, 2), &input);
    for lane in 0..32 {
        for register in 0..4 {
            let (row, column) = (lane / 4 + register / 2 * 8, lane % 4 * 2 + register % 2);
            let products = (0..32).map(|k| a[row * 32 + k] * b[column * 32 + k]);
            assert_eq!(out[lane * 4 + register] as i32, 5 + products.sum::<i32>());
        }
    }
}

/// Loads four matrices from shared memory, each row by another lane.
fn loads_matrices(transposed: bool) -> Kernel {
    kernel(32, |k| {
        let (input, output) = with_memory(k);
        let shared = k.shared(512, 16) + k.lane() * 16;
        let row: [U32<'_>; 4] = k.load(input + k.lane() * 16, Cache::Default);
        k.store_shared(shared, row);
        k.warp_barrier();
        let out: [F16x2<'_>; 4] = k.load_matrix(shared, transposed);
        k.store(output + k.lane() * 16, out.map(F16x2::bits));
    })
}

#[test]
fn fragments_are_loaded_as_the_isa_says() {
    let values: Vec<u32> = (0..256).collect();
    let input: Vec<u32> = values
        .chunks(2)
        .map(|pair| pair[0] | pair[1] << 16)
        .collect();
    for transposed in [false, true] {
        let out = one_warp(&loads_matrices(transposed), &input);
        for lane in 0..32u32 {
            for matrix in 0..4 {
                let (group, pair) = (lane / 4, lane % 4 * 2);
                let at = |row: u32, column: u32| matrix * 64 + row * 8 + column;
                let expected = if transposed {
                    at(pair, group) | at(pair + 1, group) << 16
                } else {
                    at(group, pair) | at(group, pair + 1) << 16
                };
                assert_eq!(out[(lane * 4 + matrix) as usize], expected);
            }
        }
    }
}

#[test]
fn halves_become_the_same_floats() {
    for bits in 0..=u16::MAX {
        let [low, high] = super::super::mma::unpacked(&[u32::from(bits) << 16 | 0x3c00; 32]);
        let expected = f16::from_bits(bits).to_f32();
        assert_eq!(low[0], 1.0);
        assert!(high[5] == expected || (high[5].is_nan() && expected.is_nan()));
    }
}

/// A kernel whose lanes give `ldmatrix` of two matrices addresses in steps of 16 bytes, those of
/// lanes 16 to 31 behind the end of shared memory unless they wrap around.
fn two_matrices(target: Target, wrapped: bool) -> Kernel {
    let k = Builder::new("sample", target, 32);
    let (_, output) = with_memory(&k);
    let shared = k.shared(256, 16);
    let thread = k.thread();
    k.store_shared(shared + thread * 8, [thread, thread]);
    k.barrier();
    let row = if wrapped { k.lane() % 16 } else { k.lane() };
    let [a, b]: [F16x2<'_>; 2] = k.load_matrix(shared + row * 16, false);
    k.store(output + thread * 8, [a.bits(), b.bits()]);
    k.finish()
}

#[test]
fn turing_loads_matrices_only_with_valid_addresses_in_all_lanes() {
    traps(&two_matrices(Target::Sm75, false), "in every lane");
    let wrapped = runs(&two_matrices(Target::Sm75, true));
    assert_eq!(runs(&two_matrices(Target::Sm80, true)), wrapped);
    assert_eq!(runs(&two_matrices(Target::Sm80, false)), wrapped);
}
