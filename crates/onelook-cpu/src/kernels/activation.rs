//! Elementwise functions on vectors, and as a kernel of its own.
//!
//! The exponential splits x·log₂e into a whole part, which goes into the exponent field, and a fraction within
//! ±½, for which a polynomial of degree 5 is within 10⁻⁷; SiLU and sigmoid follow from it within 10⁻⁶.

use super::element::{Element, Lanes, map_kernel_name, with_element};
use super::layout::{BLOCK, MapMut, MapView};
use crate::isa::Isa;
use crate::isa::{Vector16, per_isa};

/// What is done to a value after the bias is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `x / (1 + e⁻ˣ)`.
    Silu,
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// `eˣ`.
    Exp,
}

impl Activation {
    /// The name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Activation::None => "none",
            Activation::Relu => "relu",
            Activation::Silu => "silu",
            Activation::Sigmoid => "sigmoid",
            Activation::Exp => "exp",
        }
    }

    /// Whether zero stays zero, as the unused channels of a map's last plane must.
    pub fn keeps_zero(self) -> bool {
        !matches!(self, Activation::Sigmoid | Activation::Exp)
    }
}

/// The exponential's argument is held within ± this: 126 · ln 2.
const EXP_LIMIT: f32 = 87.336;

/// The constants of the functions, in registers.
#[derive(Clone, Copy)]
pub(crate) struct Constants<V> {
    one: V,
    zero: V,
    log2_e: V,
    minus_log2_e: V,
    limit: V,
    minus_limit: V,
    power: [V; 6],
}

impl<V: Vector16> Constants<V> {
    /// # Safety
    /// The CPU offers the level of `V`.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        // SAFETY: the caller guarantees the level.
        unsafe {
            Constants {
                one: V::splat(1.0),
                zero: V::splat(0.0),
                log2_e: V::splat(std::f32::consts::LOG2_E),
                minus_log2_e: V::splat(-std::f32::consts::LOG2_E),
                limit: V::splat(EXP_LIMIT),
                minus_limit: V::splat(-EXP_LIMIT),
                // 2^f for f within ±½, least relative error.
                power: [
                    V::splat(1.000_000_1),
                    V::splat(0.693_146_94),
                    V::splat(0.240_221_2),
                    V::splat(0.055_507_13),
                    V::splat(0.009_675_542),
                    V::splat(0.001_327_647_2),
                ],
            }
        }
    }

    /// `2^(x · factor)` for `factor` = ±log₂e and x held within ±[`EXP_LIMIT`]; NaN stays NaN.
    #[inline(always)]
    fn power(&self, x: V, factor: V) -> V {
        let x = self.limit.min(self.minus_limit.max(x));
        let whole = x.mul(factor).round();
        // Fused, so that the product is not rounded before the whole part goes.
        let fraction = x.mul_sub(factor, whole);
        let mut sum = self.power[5];
        sum = sum.mul_add(fraction, self.power[4]);
        sum = sum.mul_add(fraction, self.power[3]);
        sum = sum.mul_add(fraction, self.power[2]);
        sum = sum.mul_add(fraction, self.power[1]);
        sum = sum.mul_add(fraction, self.power[0]);
        sum.scale(whole)
    }

    /// `e^x`.
    #[inline(always)]
    pub(crate) fn exp(&self, x: V) -> V {
        self.power(x, self.log2_e)
    }

    #[inline(always)]
    pub(crate) fn sigmoid(&self, x: V) -> V {
        self.power(x, self.minus_log2_e).add(self.one).reciprocal()
    }

    /// The function `kind`, which is a constant wherever this is inlined.
    #[inline(always)]
    pub(crate) fn apply(&self, kind: Activation, x: V) -> V {
        match kind {
            Activation::None => x,
            Activation::Relu => self.zero.max(x),
            Activation::Silu => x.mul(self.sigmoid(x)),
            Activation::Sigmoid => self.sigmoid(x),
            Activation::Exp => self.exp(x),
        }
    }
}

/// Runs `$body` once for the function that `$activation` names, with `$kind` a constant in each copy, so that the
/// choice is made outside the loops in `$body`.
macro_rules! with_activation {
    ($activation:expr, |$kind:ident| $body:expr) => {
        with_activation!(@arms $activation, $kind, $body, None Relu Silu Sigmoid Exp)
    };
    (@arms $activation:expr, $kind:ident, $body:expr, $($name:ident)*) => {
        match $activation {
            $($crate::kernels::Activation::$name => {
                let $kind = $crate::kernels::Activation::$name;
                $body
            })*
        }
    };
}
pub(crate) use with_activation;

/// The function applied to every value of a map: a task is one plane of one image.
#[derive(Clone, Copy, Debug)]
pub struct Activate {
    isa: Isa,
    activation: Activation,
}

impl Activate {
    /// The kernel for `activation`.
    pub fn new(isa: Isa, activation: Activation) -> Self {
        Activate { isa, activation }
    }

    /// The kernel's name in listings, on maps of type `element`.
    pub fn name(&self, element: Element) -> &'static str {
        map_kernel_name!(self.isa, element, "activate")
    }

    /// Tasks for `batch` images of a map of `planes` planes.
    pub fn tasks(&self, planes: usize, batch: usize) -> usize {
        planes * batch
    }

    /// Does task `task`; input and output have the same extents and type and may be the same map.
    ///
    /// # Safety
    /// The views are valid, and other threads run other tasks only.
    pub unsafe fn run(&self, input: MapView, output: MapMut, task: usize) {
        let planes = output.layout().planes();
        let (image, plane) = (task / planes, task % planes);
        let kept = (output.layout().channels - plane * BLOCK).min(BLOCK);
        let pixels = output.layout().width;
        for y in 0..output.layout().height {
            // SAFETY: the rows lie within the maps.
            unsafe {
                let source = input.pixel(image, plane, y as isize, 0);
                let target = output.pixel(image, plane, y as isize, 0);
                let element = output.layout().element;
                activate_row(
                    self.isa,
                    element,
                    source,
                    target,
                    pixels,
                    kept,
                    self.activation,
                );
            }
        }
        // SAFETY: the plane is this task's alone.
        unsafe { output.zero_padding(image, plane, 0..output.layout().height) }
    }

    /// Applies the function to a plain slice in place.
    pub fn run_dense(&self, values: &mut [f32]) {
        let (whole, rest) = values.as_chunks_mut::<BLOCK>();
        // SAFETY: the blocks are valid; `isa` proves the level.
        unsafe {
            let data = whole.as_mut_ptr().cast::<f32>();
            let count = whole.len();
            activate_row(
                self.isa,
                Element::F32,
                data,
                data,
                count,
                BLOCK,
                self.activation,
            );
            let mut block = [0.0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            // One address for both sides: a second borrow of the block would end the first.
            let data = block.as_mut_ptr();
            activate_row(
                self.isa,
                Element::F32,
                data,
                data,
                1,
                BLOCK,
                self.activation,
            );
            rest.copy_from_slice(&block[..rest.len()]);
        }
    }
}

per_isa! {
    /// Applies a function to `blocks` blocks, of which the first `kept` lanes are used.
    fn activate_row(element: Element, source: *const f32, target: *mut f32, blocks: usize, kept: usize, activation: Activation) = row_body
}

/// # Safety
/// `source` and `target` hold `blocks` blocks and are the same or apart; no other thread touches the target; the CPU has
/// the level of `V`.
#[inline(always)]
unsafe fn row_body<V: Vector16>(
    element: Element,
    source: *const f32,
    target: *mut f32,
    blocks: usize,
    kept: usize,
    activation: Activation,
) {
    let mask = lane_mask(if activation.keeps_zero() { BLOCK } else { kept });
    // SAFETY: the caller guarantees the blocks and the level.
    unsafe {
        let mask = V::load(mask.as_ptr());
        let constants = Constants::<V>::new();
        with_element!(element, |Values| with_activation!(
            activation,
            |kind| for block in 0..blocks {
                let value = constants.apply(kind, Values::load(source.add(block * Values::WORDS)));
                Values::store(value.mul(mask), target.add(block * Values::WORDS));
            }
        ));
    }
}

/// Ones in the first `kept` lanes.
pub(crate) fn lane_mask(kept: usize) -> [f32; BLOCK] {
    std::array::from_fn(|lane| if lane < kept { 1.0 } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::None => x,
            Activation::Relu => x.max(0.0),
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Activation::Exp => x.exp(),
        }
    }

    const ALL: [Activation; 5] = [
        Activation::None,
        Activation::Relu,
        Activation::Silu,
        Activation::Sigmoid,
        Activation::Exp,
    ];

    #[test]
    fn every_function_is_within_a_millionth_on_every_isa() {
        let inputs: Vec<f32> = (-80_003..80_003)
            .step_by(if cfg!(miri) { 1999 } else { 1 })
            .map(|i| i as f32 * 1e-3)
            .collect();
        for isa in Isa::available() {
            for activation in ALL {
                let mut values = inputs.clone();
                Activate::new(isa, activation).run_dense(&mut values);
                for (&x, &y) in inputs.iter().zip(&values) {
                    let expected = truth(activation, f64::from(x));
                    // The argument of the exponential is itself rounded: half an ulp of x · log₂e.
                    let allowed = 1e-6 * (1.0 + f64::from(x.abs()) * 0.12);
                    let error = (f64::from(y) - expected).abs();
                    assert!(
                        error <= allowed * expected.abs(),
                        "{isa:?} {activation:?}({x}) = {y}, not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn extremes_stay_finite_and_nan_stays_nan() {
        for isa in Isa::available() {
            let mut values = vec![-1e30, 1e30, f32::NAN, -200.0, 200.0, 0.0];
            Activate::new(isa, Activation::Silu).run_dense(&mut values);
            assert!(
                values[0].is_finite() && values[3].abs() < 1e-30,
                "{values:?}"
            );
            assert!(
                values[1] == 1e30 && values[2].is_nan() && values[4] == 200.0 && values[5] == 0.0
            );
        }
    }
}
