//! The tiled convolution against the textbook loop in f64, and against itself cut otherwise.

use super::*;
use crate::kernels::testing::{
    CASES, Map, check_close, elements, random, random_of, rounding, sum_tolerance,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) shape: ConvShape,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) batch: usize,
    pub(crate) activation: Activation,
    pub(crate) residual: bool,
    pub(crate) pads: [usize; 2],
    /// The types of the input, with the weights, of the output and of the residual.
    pub(crate) elements: [Element; 3],
}

impl Case {
    pub(crate) fn output_extents(&self) -> [usize; 2] {
        let extent = |axis: usize, input: usize| {
            let reach = (self.shape.kernel[axis] - 1) * self.shape.dilation[axis] + 1;
            (input + 2 * self.shape.padding[axis] - reach) / self.shape.stride[axis] + 1
        };
        [extent(0, self.height), extent(1, self.width)]
    }

    pub(crate) fn layouts(&self) -> (MapLayout, MapLayout) {
        let [height, width] = self.output_extents();
        let most = self.shape.padding[0].max(self.shape.padding[1]);
        let input = MapLayout::new(
            self.shape.inputs,
            self.height,
            self.width,
            most + self.pads[0],
        );
        let output = MapLayout::new(self.shape.outputs, height, width, self.pads[1]);
        (input.of(self.elements[0]), output.of(self.elements[1]))
    }

    pub(crate) fn weights(&self) -> (Vec<f32>, Vec<f32>) {
        let ConvShape {
            inputs,
            outputs,
            kernel,
            ..
        } = self.shape;
        let count = inputs * outputs * kernel[0] * kernel[1];
        (random_of(self.elements[0], count, 3), random(outputs, 4))
    }

    pub(crate) fn input(&self) -> Vec<f32> {
        let count = self.batch * self.shape.inputs * self.height * self.width;
        random_of(self.elements[0], count, 1)
    }

    /// The sum's, and what storing it rounds away.
    pub(crate) fn tolerance(&self) -> f64 {
        let [rows, columns] = self.shape.kernel;
        sum_tolerance(self.shape.inputs * rows * columns) + rounding(self.elements[1])
    }

    pub(crate) fn residual(&self) -> Vec<f32> {
        let [height, width] = self.output_extents();
        let count = self.batch * self.shape.outputs * height * width;
        random_of(self.elements[2], count, 2)
    }

    fn run(&self, isa: Isa, threads: usize) -> Vec<f32> {
        let (input_layout, output_layout) = self.layouts();
        let (weight, bias) = self.weights();
        let weights = ConvWeights::pack(self.shape, &weight, Some(&bias), self.elements[0]);
        let weights = Arc::new(weights.unwrap());
        let conv = Conv::new(
            isa,
            weights,
            self.activation,
            input_layout,
            output_layout,
            threads,
        )
        .unwrap();
        let input = Map::filled(input_layout, self.batch, &self.input());
        let residual = self.residual.then(|| {
            Map::filled(
                output_layout.of(self.elements[2]),
                self.batch,
                &self.residual(),
            )
        });
        let mut output = Map::dirty(output_layout, self.batch);
        for task in (0..conv.tasks(self.batch)).rev() {
            let residual = residual.as_ref().map(Map::view);
            // SAFETY: the maps have the plan's extents and are used here alone.
            unsafe { conv.run(input.view(), residual, output.view_mut(), task) }
        }
        output.check_padding();
        output.to_dense()
    }

    pub(crate) fn truth(&self) -> Vec<f64> {
        let [height, width] = self.output_extents();
        let (weight, bias) = self.weights();
        let (input, residual) = (self.input(), self.residual());
        let mut output = Vec::new();
        for image in 0..self.batch {
            for (channel, bias) in bias.iter().enumerate() {
                for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                    let sum = f64::from(*bias) + self.sum(&input, &weight, image, channel, y, x);
                    let value = match self.activation {
                        Activation::None => sum,
                        Activation::Relu => sum.max(0.0),
                        Activation::Silu => sum / (1.0 + (-sum).exp()),
                        Activation::Sigmoid => 1.0 / (1.0 + (-sum).exp()),
                        Activation::Exp => sum.exp(),
                    };
                    let added = if self.residual {
                        f64::from(residual[output.len()])
                    } else {
                        0.0
                    };
                    output.push(value + added);
                }
            }
        }
        output
    }

    fn sum(
        &self,
        input: &[f32],
        weight: &[f32],
        image: usize,
        channel: usize,
        y: usize,
        x: usize,
    ) -> f64 {
        let ConvShape {
            inputs,
            kernel,
            stride,
            padding,
            dilation,
            ..
        } = self.shape;
        let mut sum = 0.0;
        for c in 0..inputs {
            for (ky, kx) in (0..kernel[0]).flat_map(|ky| (0..kernel[1]).map(move |kx| (ky, kx))) {
                let row = (y * stride[0] + ky * dilation[0]).checked_sub(padding[0]);
                let column = (x * stride[1] + kx * dilation[1]).checked_sub(padding[1]);
                let (Some(row), Some(column)) = (row, column) else {
                    continue;
                };
                if row < self.height && column < self.width {
                    let value =
                        input[((image * inputs + c) * self.height + row) * self.width + column];
                    let weight = weight[((channel * inputs + c) * kernel[0] + ky) * kernel[1] + kx];
                    sum += f64::from(value) * f64::from(weight);
                }
            }
        }
        sum
    }
}

fn activations() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::None),
        Just(Activation::Relu),
        Just(Activation::Silu),
        Just(Activation::Sigmoid)
    ]
}

/// Bounds of random outputs, rows and columns.
const MOST: [usize; 3] = if cfg!(miri) { [40, 4, 6] } else { [90, 20, 40] };

prop_compose! {
    pub(crate) fn cases(most_inputs: usize)(
        inputs in 1..=most_inputs,
        outputs in 1usize..MOST[0],
        kernel in [1usize..4, 1usize..4],
        stride in [1usize..4, 1usize..4],
        dilation in [1usize..3, 1usize..3],
        pad in [0usize..3, 0usize..3],
        extra in [0usize..MOST[1], 0usize..MOST[2]],
        batch in 1usize..3,
        activation in activations(),
        residual: bool,
        pads in [0usize..2, 0usize..2],
        elements in [elements(), elements(), elements()],
    ) -> Case {
        let reach = |axis: usize| (kernel[axis] - 1) * dilation[axis] + 1;
        let padding = [pad[0].min(kernel[0] - 1), pad[1].min(kernel[1] - 1)];
        let shape = ConvShape { inputs, outputs, kernel, stride, padding, dilation };
        Case { shape, height: reach(0) + extra[0], width: reach(1) + extra[1], batch, activation, residual, pads, elements }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn any_shape_agrees_with_the_textbook(case in cases(40)) {
        let truth = case.truth();
        for isa in Isa::available() {
            check_close(&case.run(isa, 1), &truth, case.tolerance());
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_thread_count(case in cases(40)) {
        for isa in Isa::available() {
            let alone = case.run(isa, 1);
            for threads in [2, 3, 16] {
                assert!(case.run(isa, threads) == alone, "{threads} threads");
            }
        }
    }
}

fn case_3x3(inputs: usize, outputs: usize, stride: usize, side: usize) -> Case {
    Case {
        shape: ConvShape {
            inputs,
            outputs,
            kernel: [3; 2],
            stride: [stride; 2],
            padding: [1; 2],
            dilation: [1; 2],
        },
        height: side,
        width: side,
        batch: 2,
        activation: Activation::Silu,
        residual: stride == 1,
        pads: [0, 1],
        elements: [Element::F32; 3],
    }
}

#[test]
#[cfg_attr(miri, ignore = "minutes in miri")]
fn large_layers_split_into_many_tasks_keep_their_bits() {
    for case in [
        case_3x3(128, 128, 1, 20),
        case_3x3(64, 80, 2, 41),
        case_3x3(48, 48, 1, 37),
    ] {
        for isa in Isa::available() {
            let alone = case.run(isa, 1);
            assert!(case.run(isa, 2) == alone && case.run(isa, 7) == alone);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "minutes in miri")]
fn the_emulation_has_the_bits_of_the_instruction() {
    for (case, output) in [
        (case_3x3(61, 48, 1, 20), Element::F32),
        (case_3x3(64, 80, 2, 41), Element::Bf16),
        (case_3x3(5, 17, 1, 23), Element::F32),
    ] {
        // Functions differ from level to level in the last bits.
        let case = Case {
            activation: Activation::None,
            elements: [Element::Bf16, output, Element::Bf16],
            ..case
        };
        let first = case.run(Isa::available()[0], 1);
        for isa in Isa::available() {
            let same = first.iter().zip(case.run(isa, 1));
            assert!({ same }.all(|(a, b)| a.to_bits() == b.to_bits()), "{isa:?}");
        }
    }
}

#[test]
fn weights_of_another_type_than_the_input_are_refused() {
    let case = case_3x3(16, 16, 1, 8);
    let (input, output) = case.layouts();
    let (weight, bias) = case.weights();
    let weights = ConvWeights::pack(case.shape, &weight, Some(&bias), Element::Bf16).unwrap();
    let activation = Activation::None;
    let error = Conv::new(
        Isa::Portable,
        Arc::new(weights),
        activation,
        input,
        output,
        1,
    );
    let message = error.unwrap_err().to_string();
    assert!(message.contains("packed for bf16"), "{message}");
}

#[test]
#[cfg_attr(miri, ignore = "minutes in miri")]
fn a_sum_near_zero_of_large_terms_is_held_to_the_rounding_of_the_terms() {
    let case = Case {
        shape: ConvShape {
            inputs: 37,
            outputs: 7,
            kernel: [3; 2],
            stride: [1; 2],
            padding: [0; 2],
            dilation: [1, 2],
        },
        height: 19,
        width: 31,
        batch: 1,
        activation: Activation::Sigmoid,
        residual: false,
        pads: [0; 2],
        elements: [Element::F32; 3],
    };
    let truth = case.truth();
    for isa in Isa::available() {
        check_close(&case.run(isa, 1), &truth, case.tolerance());
    }
}

#[test]
#[cfg_attr(miri, ignore = "minutes in miri")]
fn a_map_of_many_bands_agrees_with_the_textbook() {
    let case = Case {
        batch: 1,
        ..case_3x3(48, 40, 2, 110)
    };
    let truth = case.truth();
    for isa in Isa::available() {
        check_close(&case.run(isa, 1), &truth, case.tolerance());
        assert!(case.run(isa, 2) == case.run(isa, 1));
    }
}

#[test]
#[cfg_attr(miri, ignore = "minutes in miri")]
fn batch_does_not_change_an_image() {
    let both = case_3x3(24, 40, 1, 19);
    let first = Case {
        batch: 1,
        ..both.clone()
    };
    for isa in Isa::available() {
        let alone = first.run(isa, 1);
        assert!(both.run(isa, 2)[..alone.len()] == alone);
    }
}

#[test]
fn reads_beyond_the_padding_are_refused() {
    let case = Case {
        pads: [0, 0],
        ..case_3x3(16, 16, 1, 8)
    };
    let (input, output) = case.layouts();
    let (weight, bias) = case.weights();
    let weights =
        Arc::new(ConvWeights::pack(case.shape, &weight, Some(&bias), Element::F32).unwrap());
    let without = MapLayout { pad: 0, ..input };
    let error =
        Conv::new(Isa::Portable, weights, Activation::None, without, output, 1).unwrap_err();
    assert!(error.to_string().contains("padding"), "{error}");
}
