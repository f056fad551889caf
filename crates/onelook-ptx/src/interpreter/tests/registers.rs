//! Registers, branches and what a trap says.

use proptest::prelude::*;

use super::*;
use crate::lang::{Float, Instruction, Integer, Operand, ShuffleBy};

/// A word in the lanes where a thread's number is below 16, and if asked in the others.
fn half_written(whole: bool) -> Kernel {
    kernel(32, |k| {
        let (_, output) = with_memory(k);
        let thread = k.thread();
        let word = U32::in_register(k, k.reg());
        k.when_else(
            thread.less(16),
            || k.assign(word, thread),
            || {
                if whole {
                    k.assign(word, thread * 2);
                }
            },
        );
        k.store(output + thread * 4, [word]);
    })
}

#[test]
fn lanes_that_were_never_written_are_poison() {
    traps(&half_written(false), "poison: Reg(");
    assert_eq!(runs(&half_written(true))[..32][15..18], [15, 32, 34]);
}

#[test]
fn a_trap_says_where_and_what() {
    let kernel = kernel(64, |k| {
        let (_, output) = with_memory(k);
        k.comment("layer 7");
        let word = U32::in_register(k, k.reg());
        k.store(output, [word]);
    });
    let trap = run(&kernel, &Schedule::in_order()).unwrap_err();
    assert_eq!(trap.lane, Some(0));
    let text = trap.to_string();
    for part in [
        "'sample'",
        "block [0, 0, 0], warp 0, lane 0",
        "layer 7",
        "Store {",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

fn divided_by(divisor: impl Fn(U32<'_>) -> U32<'_>) -> Kernel {
    kernel(32, |k| {
        let (_, output) = with_memory(k);
        let (thread, to) = (k.thread(), k.reg());
        k.emit(Instruction::Integer {
            op: Integer::Div,
            to,
            a: Operand::Constant(100),
            b: divisor(thread).operand(),
        });
        k.store(output + thread * 4, [U32::in_register(k, to)]);
    })
}

#[test]
fn division_by_0_is_a_fault() {
    traps(&divided_by(|thread| thread), "division by 0");
    assert_eq!(runs(&divided_by(|thread| thread + 1))[..3], [100, 50, 33]);
}

#[test]
fn what_all_lanes_must_take_part_in_traps_in_a_branch() {
    let shuffled = |inside: bool| {
        kernel(32, |k| {
            let (_, output) = with_memory(k);
            let thread = k.thread();
            let exchange = || {
                let other = k.shuffle(thread, ShuffleBy::Xor(1));
                k.store(output + thread * 4, [other]);
            };
            if inside {
                k.when(thread.less(16), exchange);
            } else {
                exchange();
            }
        })
    };
    traps(&shuffled(true), "needs all 32 lanes");
    assert_eq!(runs(&shuffled(false))[..4], [1, 0, 3, 2]);
}

#[test]
fn shuffles_past_the_end_give_the_own_value() {
    let kernel = kernel(32, |k| {
        let (_, output) = with_memory(k);
        let thread = k.thread();
        let all = [ShuffleBy::Up(3), ShuffleBy::Down(3)].map(|by| k.shuffle(thread, by));
        let lane = k.from_lane(thread, thread * 5);
        let at = output + thread * 16;
        k.store(at, [all[0], all[1], lane, k.ballot(thread.above(29))]);
    });
    let words = runs(&kernel);
    assert_eq!(words[4..8], [1, 4, 5, 3 << 30]);
    assert_eq!(words[31 * 4..32 * 4], [28, 31, 155 % 32, 3 << 30]);
}

#[test]
fn raw_instructions_mean_what_their_closure_says() {
    let kernel = kernel(32, |k| {
        let (_, output) = with_memory(k);
        let (thread, to) = (k.thread(), k.reg());
        k.emit(Instruction::Asm {
            text: "mul.hi.u32 {0}, {1}, {2};".to_owned(),
            outputs: vec![to],
            inputs: vec![thread.operand(), Operand::Constant(1 << 31)],
            meaning: crate::lang::Meaning(std::sync::Arc::new(|bits| {
                vec![((u64::from(bits[0]) * u64::from(bits[1])) >> 32) as u32]
            })),
        });
        k.store(output + thread * 4, [U32::in_register(k, to)]);
    });
    assert_eq!(runs(&kernel)[..6], [0, 0, 1, 1, 2, 2]);
}

#[test]
fn floats_and_halves_are_rounded_as_a_device_rounds_them() {
    let kernel = kernel(32, |k| {
        let (_, output) = with_memory(k);
        let thread = k.thread();
        let x = thread.to_f32() * 0.3;
        let pair = x.pack(x + 1.0);
        let [low, high] = (pair * pair + pair).unpack();
        let to = k.reg();
        k.emit(Instruction::Float {
            op: Float::Max,
            to,
            a: x.bits().operand(),
            b: Operand::Constant(f32::NAN.to_bits()),
        });
        let max = U32::in_register(k, to);
        k.store(
            output + thread * 16,
            [low.bits(), high.bits(), max, x.tanh().bits()],
        );
    });
    let words = runs(&kernel);
    for lane in 0..32 {
        let x = lane as f32 * 0.3;
        let half = |x: f32| half::f16::from_f32(x).to_f32();
        let square = |x: f32| half(half(half(x) * half(x)) + half(x));
        let own = words[4 * lane..][..4]
            .iter()
            .map(|&bits| f32::from_bits(bits));
        let own: Vec<f32> = own.collect();
        assert_eq!(own[..3], [square(x), square(x + 1.0), x]);
        assert!((own[3] - x.tanh()).abs() <= x.tanh() * 5e-4);
    }
}

/// A program of nested branches and loops over two variables.
#[derive(Debug, Clone)]
enum Node {
    /// a = a * factor + b.
    Mix(u32),
    /// b = b ^ a >> shift.
    Stir(u32),
    /// Where a bit of a is set, one part, else the other.
    Branch(u32, Vec<Node>, Vec<Node>),
    /// As often as some bits of b say.
    Loop(u32, Vec<Node>),
}

fn node() -> impl Strategy<Value = Vec<Node>> {
    let leaf = prop_oneof![
        (0..99u32).prop_map(Node::Mix),
        (1..31u32).prop_map(Node::Stir)
    ];
    let list = prop::collection::vec(leaf, 0..4);
    list.prop_recursive(4, 40, 4, |inner| {
        let node = prop_oneof![
            (0..99u32).prop_map(Node::Mix),
            (1..31u32).prop_map(Node::Stir),
            (0..31u32, inner.clone(), inner.clone())
                .prop_map(|(bit, yes, no)| Node::Branch(bit, yes, no)),
            (0..29u32, inner).prop_map(|(bit, body)| Node::Loop(bit, body)),
        ];
        prop::collection::vec(node, 1..4)
    })
}

fn write_nodes<'k>(k: &'k Builder, nodes: &[Node], a: U32<'k>, b: U32<'k>) {
    for node in nodes {
        match node {
            Node::Mix(factor) => k.assign(a, a * *factor + b),
            Node::Stir(shift) => k.assign(b, b ^ (a >> *shift)),
            Node::Branch(bit, yes, no) => k.when_else(
                ((a >> *bit) & 1).equals(1),
                || write_nodes(k, yes, a, b),
                || write_nodes(k, no, a, b),
            ),
            Node::Loop(bit, body) => {
                let times = k.variable((b >> *bit) & 3);
                k.count(0, times, 1, |_| write_nodes(k, body, a, b));
            }
        }
    }
}

fn run_nodes(nodes: &[Node], a: &mut u32, b: &mut u32) {
    for node in nodes {
        match node {
            Node::Mix(factor) => *a = a.wrapping_mul(*factor).wrapping_add(*b),
            Node::Stir(shift) => *b ^= *a >> shift,
            Node::Branch(bit, yes, no) => {
                let part = if *a >> bit & 1 == 1 { yes } else { no };
                run_nodes(part, a, b);
            }
            Node::Loop(bit, body) => {
                for _ in 0..*b >> bit & 3 {
                    run_nodes(body, a, b);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn lanes_go_their_own_ways_through_branches_and_loops(nodes in node()) {
        let kernel = kernel(32, |k| {
            let (_, output) = with_memory(k);
            let thread = k.thread();
            let a = k.variable(thread * 0x9e37_79b9 + 12345);
            let b = k.variable(thread * 0x85eb_ca6b + 54321);
            write_nodes(k, &nodes, a, b);
            k.store(output + thread * 8, [a, b]);
        });
        let words = run(&kernel, &Schedule::adversarial(3)).unwrap();
        for lane in 0..32u32 {
            let mut a = lane.wrapping_mul(0x9e37_79b9).wrapping_add(12345);
            let mut b = lane.wrapping_mul(0x85eb_ca6b).wrapping_add(54321);
            run_nodes(&nodes, &mut a, &mut b);
            prop_assert_eq!(&words[2 * lane as usize..][..2], &[a, b]);
        }
    }
}

/// What a kernel stores that computes these words.
fn computed<const N: usize>(write: impl Fn(&Builder) -> [U32<'_>; N]) -> Vec<u32> {
    let kernel = kernel(32, |k| {
        let (_, output) = with_memory(k);
        let words = write(k);
        k.when(k.lane().equals(0), || {
            for (index, word) in words.into_iter().enumerate() {
                k.store(output + 4 * index as u32, [word]);
            }
        });
    });
    run(&kernel, &Schedule::in_order()).unwrap()[..N].to_vec()
}

#[test]
fn approximate_functions_flush_subnormal_numbers() {
    let tiny = f32::from_bits(1);
    let words = computed(|k| {
        let x = |value: f32| k.f32(value);
        [
            x(-tiny).exp2().bits(),
            x(-126.5).exp2().bits(),
            x(tiny).log2().bits(),
            x(-tiny).reciprocal().bits(),
            x(3e38).reciprocal().bits(),
            x(tiny).square_root().bits(),
        ]
    });
    let expected = [1.0, 0.0, f32::NEG_INFINITY, f32::NEG_INFINITY, 0.0, 0.0];
    assert_eq!(words, expected.map(f32::to_bits));
}

#[test]
fn minus_zero_is_below_zero_and_a_number_wins_over_nan() {
    let words = computed(|k| {
        let x = |value: f32| k.f32(value);
        let (zero, minus, nan) = (x(0.0), x(-0.0), x(f32::NAN));
        let half = minus.pack(zero).max(zero.pack(minus));
        [
            minus.max(zero).bits(),
            zero.max(minus).bits(),
            minus.min(zero).bits(),
            zero.min(minus).bits(),
            nan.max(minus).bits(),
            minus.min(nan).bits(),
            nan.min(nan).bits(),
            half.bits(),
        ]
    });
    let minus = (-0f32).to_bits();
    assert_eq!(words, [0, 0, minus, minus, minus, minus, 0x7fff_ffff, 0]);
}
