//! Weights from a fixed pseudo-random sequence: a tensor's path and shape in, its elements out.
//!
//! Scaled so that activations keep a size near one from the first layer to the last, in half
//! precision too. Each tensor has a sequence of its own, found by its path.

use onelook_types::Shape;

/// What batch norm adds ahead of SiLU. There SiLU narrows a wide spread and widens a narrow one, so
/// that the spread of activations settles; around zero it would drift away from one.
const SHIFT: f32 = 1.0;

/// Variance of SiLU of a normal variable around [`SHIFT`].
const VARIANCE: f64 = 0.716;

/// Mean square of the same, which counts where weights let the mean through.
const MEAN_SQUARE: f64 = 1.47;

/// Mean square of a pixel's channel.
const PIXEL_SQUARE: f64 = 0.3;

/// Weights of so many channels side by side add up to zero: what all channels share is not passed
/// on, since it would drown what differs.
const BALANCED: usize = 4;

/// Logit of a class where nothing is seen: few boxes come out above a quarter.
const CLASS_BIAS: f32 = -5.0;

/// How far classes' logits spread around it.
const CLASS_GAIN: f64 = 1.3;

/// The elements of one tensor.
pub(super) fn fill(path: &str, shape: &Shape) -> Vec<f32> {
    let count = shape.elements();
    let (module, tensor) = path.rsplit_once('.').unwrap_or(("", path));
    match (tensor, &shape[..]) {
        ("running_mean", _) => vec![0.0; count],
        ("running_var", _) => vec![1.0; count],
        ("weight", &[_, inputs, height, width]) => {
            weights(path, gain(module), [inputs, height * width], count)
        }
        ("weight", _) => vec![1.0; count],
        _ if is_class_map(module) => vec![CLASS_BIAS; count],
        _ => {
            let middle = if module.ends_with(".bn") { SHIFT } else { 0.0 };
            let around = uniform(path, count, 0.1).into_iter();
            around.map(|value| middle + value).collect()
        }
    }
}

/// Weights `[outputs, inputs, taps]` that give sums of variance one, times the gain.
fn weights(path: &str, gain: f64, [inputs, taps]: [usize; 2], count: usize) -> Vec<f32> {
    let balanced = inputs.is_multiple_of(BALANCED);
    let passed = match inputs {
        3 => PIXEL_SQUARE,
        _ if balanced => VARIANCE * (BALANCED - 1) as f64 / BALANCED as f64,
        _ => MEAN_SQUARE,
    };
    let spread = gain / ((inputs * taps) as f64 * passed).sqrt();
    let mut weights = uniform(path, count, spread as f32);
    if balanced {
        weights
            .chunks_mut(BALANCED * taps)
            .for_each(|group| balance(group, taps));
    }
    weights
}

/// Takes the channels' mean from each tap.
fn balance(group: &mut [f32], taps: usize) {
    for tap in 0..taps {
        let sum: f32 = group.iter().skip(tap).step_by(taps).sum();
        let mean = sum / BALANCED as f32;
        group
            .iter_mut()
            .skip(tap)
            .step_by(taps)
            .for_each(|weight| *weight -= mean);
    }
}

/// Branches that are added to their input stay small beside it, so that chains do not grow.
fn gain(module: &str) -> f64 {
    let ends = |end: &str| module.ends_with(end);
    let added =
        module.contains(".m.") && ends(".cv2.conv") || ends(".ffn.1.conv") || ends(".proj.conv");
    match added {
        true => 0.4,
        false if is_class_map(module) => CLASS_GAIN,
        false => 1.0,
    }
}

/// Whether this is the last convolution of a branch for classes.
fn is_class_map(module: &str) -> bool {
    module.contains("cv3.") && module.ends_with(".2")
}

/// Independent values with this standard deviation.
fn uniform(path: &str, count: usize, deviation: f32) -> Vec<f32> {
    // FNV-1a, then SplitMix64: short, public domain, and enough for weights.
    let seed = path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let half_width = deviation * 3f32.sqrt();
    let value = |position: usize| {
        let step = (position as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut bits = seed.wrapping_add(step);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let unit = (bits >> 40) as f32 / (1 << 24) as f32;
        (2.0 * unit - 1.0) * half_width
    };
    (0..count).map(value).collect()
}
