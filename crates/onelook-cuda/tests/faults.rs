//! Faults planted in a real kernel: each must end in a trap or in values that are off, under every
//! schedule. A checker that misses one of these would not be worth its time.

use onelook_cuda::kernels::conv::{ConvShape, Part, Segment, conv, pack_weights};
use onelook_cuda::kernels::gemm::Tile;
use onelook_cuda::kernels::window::Window;
use onelook_cuda::kernels::{Element, Map};
use onelook_ptx::interpreter::{Buffer, Machine, Schedule, Trap, Value};
use onelook_ptx::lang::{Instruction, Kernel, Statement, Target};

const HEIGHT: u32 = 7;
const WIDTH: u32 = 9;
const CHANNELS: u32 = 40;
const OUTPUTS: u32 = 24;
const BATCH: u32 = 2;
/// ‖Δ‖/‖reference‖ above which the values count as wrong.
const MOST: f64 = 2e-3;

/// Two slices of k, whose sums are exchanged where chunks were: every barrier is needed.
const TILE: Tile = Tile {
    m: 64,
    n: 24,
    vectors: 4,
    warps: [2, 1, 2],
    stages: 2,
};

fn shape() -> ConvShape {
    ConvShape {
        element: Element::F16,
        inputs: vec![Segment {
            map: Map {
                height: HEIGHT,
                width: WIDTH,
                channels: CHANNELS,
                pitch: CHANNELS,
            },
            upsample: 1,
        }],
        window: Window {
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            output: [HEIGHT, WIDTH],
        },
        parts: vec![Part {
            channels: OUTPUTS,
            pitch: OUTPUTS,
        }],
        activation: None,
        residual: None,
    }
}

/// Numbers between -1 and 1 that f16 values have exactly.
fn numbers(count: u32, seed: u32) -> Vec<f32> {
    let number = |index: u32| {
        let mixed =
            (index.wrapping_add(seed).wrapping_mul(0x9e37_79b9) >> 7).wrapping_mul(0x85eb_ca6b);
        (mixed >> 8) % 257
    };
    (0..count)
        .map(|index| number(index) as f32 / 128.0 - 1.0)
        .collect()
}

/// The convolution's data and what it comes to.
struct FaultCase {
    input: Vec<f32>,
    weights: Vec<f32>,
    biases: Vec<f32>,
    expected: Vec<f64>,
}

impl FaultCase {
    fn new() -> Self {
        let mut case = Self {
            input: numbers(BATCH * HEIGHT * WIDTH * CHANNELS, 1),
            weights: numbers(OUTPUTS * CHANNELS * 9, 50_000),
            biases: numbers(OUTPUTS, 90_000),
            expected: Vec::new(),
        };
        let places = (0..BATCH * HEIGHT * WIDTH).flat_map(|p| (0..OUTPUTS).map(move |o| (p, o)));
        case.expected = places
            .map(|(pixel, output)| case.sum(pixel, output))
            .collect();
        case
    }

    fn sum(&self, pixel: u32, output: u32) -> f64 {
        let (image, y, x) = (
            pixel / WIDTH / HEIGHT,
            pixel / WIDTH % HEIGHT,
            pixel % WIDTH,
        );
        let mut sum = f64::from(self.biases[output as usize]);
        for tap in 0..9 {
            let (y, x) = ((y + tap / 3).wrapping_sub(1), (x + tap % 3).wrapping_sub(1));
            if y >= HEIGHT || x >= WIDTH {
                continue;
            }
            let first = ((image * HEIGHT + y) * WIDTH + x) * CHANNELS;
            for channel in 0..CHANNELS {
                let weight = self.weights[((output * CHANNELS + channel) * 9 + tap) as usize];
                sum += f64::from(self.input[(first + channel) as usize]) * f64::from(weight);
            }
        }
        sum
    }

    /// Runs a kernel on the data: how far its values are off.
    fn run(&self, kernel: &Kernel, grid: [u32; 3], schedule: &Schedule) -> Result<f64, Trap> {
        self.run_told(kernel, grid, &shape().extent_words(), schedule)
    }

    /// As [`run`](Self::run), where the launch tells these extents.
    fn run_told(
        &self,
        kernel: &Kernel,
        grid: [u32; 3],
        extents: &[u32],
        schedule: &Schedule,
    ) -> Result<f64, Trap> {
        let packed = pack_weights(&self.weights, &[CHANNELS as usize], 9, Element::F16, &TILE);
        let half = |values: &[f32]| Element::F16.encode(values.iter().copied());
        let biases = Element::F32.encode(self.biases.iter().copied());
        let mut machine = Machine::new();
        let mut values = Vec::new();
        for bytes in [half(&self.input), half(&packed), biases] {
            let buffer = machine.allocate(bytes.len());
            machine.write(buffer, 0, &bytes);
            values.push(memory(buffer, bytes.len()));
        }
        let output = machine.allocate(self.expected.len() * 2);
        values.push(memory(output, self.expected.len() * 2));
        values.push(Value::Word(BATCH * HEIGHT * WIDTH));
        values.extend(extents.iter().map(|&word| Value::Word(word)));
        machine.launch(kernel, grid, &values, schedule)?;
        let actual = Element::F16.decode(&machine.read(output, 0, self.expected.len() * 2)?);
        let pairs = actual.iter().zip(&self.expected);
        let off: f64 = pairs.map(|(&a, &b)| (f64::from(a) - b).powi(2)).sum();
        let all: f64 = self.expected.iter().map(|b| b * b).sum();
        Ok((off / all).sqrt())
    }
}

fn memory(buffer: Buffer, bytes: usize) -> Value {
    Value::Memory {
        buffer,
        offset: 0,
        bytes,
    }
}

fn schedules() -> impl Iterator<Item = Schedule> {
    std::iter::once(Schedule::in_order()).chain((0..5).map(Schedule::adversarial))
}

/// Hands every instruction to the closure, in order of the text; drops those that it says to drop.
fn walk(statements: &mut Vec<Statement>, change: &mut impl FnMut(&mut Instruction) -> bool) {
    statements.retain_mut(|statement| match statement {
        Statement::Do(instruction) => change(instruction),
        Statement::If {
            then, otherwise, ..
        } => {
            walk(then, change);
            walk(otherwise, change);
            true
        }
        Statement::While { head, body, .. } => {
            walk(head, change);
            walk(body, change);
            true
        }
        Statement::Comment(_) => true,
    });
}

/// Plants the fault at every place that `is` one, one at a time; each must be found out.
fn each_is_caught(
    is: impl Fn(&Instruction) -> bool,
    mut plant: impl FnMut(&mut Instruction) -> bool,
) -> usize {
    let case = FaultCase::new();
    let sound = conv(Target::Sm90a, "conv", &shape(), TILE, BATCH);
    for place in 0.. {
        let mut kernel = sound.kernel.clone();
        let (mut seen, mut planted) = (0, None);
        walk(&mut kernel.body, &mut |instruction| {
            seen += usize::from(is(instruction));
            if !is(instruction) || seen != place + 1 {
                return true;
            }
            planted = Some(format!("{instruction:?}"));
            plant(instruction)
        });
        let Some(planted) = planted else {
            return place;
        };
        for schedule in schedules() {
            match case.run(&kernel, sound.grid, &schedule) {
                Err(trap) => assert!(!trap.what.is_empty()),
                Ok(off) => assert!(
                    off > MOST,
                    "nobody notices the fault at number {place}, {planted}, under {schedule:?}"
                ),
            }
        }
    }
    unreachable!("the kernel ends")
}

#[test]
fn the_kernel_without_faults_is_right() {
    let case = FaultCase::new();
    let sound = conv(Target::Sm90a, "conv", &shape(), TILE, BATCH);
    for schedule in schedules() {
        let off = case.run(&sound.kernel, sound.grid, &schedule);
        let off = off.unwrap_or_else(|trap| panic!("{trap}"));
        assert!(off < MOST / 2.0, "off by {off:e}");
    }
}

#[test]
fn a_dropped_barrier_is_caught() {
    let is = |instruction: &Instruction| matches!(instruction, Instruction::Barrier);
    assert!(each_is_caught(is, |_| false) >= 2);
}

#[test]
fn a_missing_async_wait_is_caught() {
    let is = |instruction: &Instruction| matches!(instruction, Instruction::AsyncWait { .. });
    assert!(each_is_caught(is, |_| false) >= 1);
}

#[test]
fn an_async_wait_for_one_group_too_few_is_caught() {
    let is = |instruction: &Instruction| matches!(instruction, Instruction::AsyncWait { .. });
    let one_more = |instruction: &mut Instruction| {
        if let Instruction::AsyncWait { pending } = instruction {
            *pending += 1;
        }
        true
    };
    assert!(each_is_caught(is, one_more) >= 1);
}

#[test]
fn an_edge_of_the_padding_that_is_off_by_one_is_caught() {
    let case = FaultCase::new();
    let sound = conv(Target::Sm90a, "conv", &shape(), TILE, BATCH);
    let told = shape().extent_words();
    for word in [told.len() - 2, told.len() - 1] {
        for by in [1, u32::MAX] {
            let mut told = told.clone();
            told[word] = told[word].wrapping_add(by);
            for schedule in schedules() {
                let noticed = case.run_told(&sound.kernel, sound.grid, &told, &schedule);
                assert!(noticed.is_err() || noticed.is_ok_and(|off| off > MOST));
            }
        }
    }
}

#[test]
fn swapped_rows_of_fragments_are_caught() {
    let is = |instruction: &Instruction| matches!(instruction, Instruction::Mma { .. });
    let swap_a = |instruction: &mut Instruction| {
        if let Instruction::Mma { a, .. } = instruction {
            a.swap(0, 1);
        }
        true
    };
    let swap_b = |instruction: &mut Instruction| {
        if let Instruction::Mma { b, .. } = instruction {
            b.swap(0, 1);
        }
        true
    };
    assert!(each_is_caught(is, swap_a) >= 1);
    assert!(each_is_caught(is, swap_b) >= 1);
}

#[test]
fn a_missing_wait_for_the_launches_before_is_caught() {
    let is = |instruction: &Instruction| matches!(instruction, Instruction::GridWait);
    let case = FaultCase::new();
    let sound = conv(Target::Sm90a, "conv", &shape(), TILE, BATCH);
    let mut kernel = sound.kernel.clone();
    let mut waits = 0;
    walk(&mut kernel.body, &mut |instruction| {
        waits += usize::from(is(instruction));
        !is(instruction)
    });
    assert_eq!(waits, 1);
    // Left at the end only, it comes too late.
    kernel.body.push(Statement::Do(Instruction::GridWait));
    for schedule in schedules() {
        let trap = case.run(&kernel, sound.grid, &schedule).unwrap_err();
        assert!(trap.what.contains("ahead of GridWait"), "{trap}");
    }
}
