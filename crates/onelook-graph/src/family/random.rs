//! Weights from a fixed pseudo-random sequence: a tensor's path and shape in, its elements out.
//!
//! Scaled so that activations keep a size near one from the first layer to the last, in half
//! precision too. Each tensor has a sequence of its own, found by its path.

use onelook_types::Shape;

/// Mean square of SiLU of a standard normal variable: what a layer passes on.
const PASSED: f64 = 0.356;

/// Logit of a class where nothing is seen: a few boxes in 8,400 come out above a quarter.
const CLASS_BIAS: f32 = -5.0;

/// The elements of one tensor.
pub(super) fn fill(path: &str, shape: &Shape) -> Vec<f32> {
    let count = shape.elements();
    let (module, tensor) = path.rsplit_once('.').unwrap_or(("", path));
    match tensor {
        "running_mean" => vec![0.0; count],
        "running_var" => vec![1.0; count],
        "weight" if shape.len() == 1 => vec![1.0; count],
        "weight" => {
            let inputs: usize = shape[1..].iter().product();
            let spread = gain(module) / (inputs as f64 * PASSED).sqrt();
            uniform(path, count, spread as f32)
        }
        _ if is_class_map(module) => vec![CLASS_BIAS; count],
        _ => uniform(path, count, 0.1),
    }
}

/// Branches that are added to their input stay small beside it, so that chains do not grow; maxima
/// of many pixels are larger than one of them.
fn gain(module: &str) -> f64 {
    let ends = |end: &str| module.ends_with(end);
    let added =
        module.contains(".m.") && ends(".cv2.conv") || ends(".ffn.1.conv") || ends(".proj.conv");
    match module {
        _ if module.starts_with("model.9.") && ends(".cv2.conv") => 0.5,
        _ if added => 0.4,
        _ => 1.0,
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
