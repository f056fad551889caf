//! Attention over the pixels of a map: the C2PSA stage, its block, and the attention itself.

use super::super::builder::Builder;
use super::super::module::Module;
use super::conv::conv_block_reordered;
use super::single;
use crate::ValueId;
use crate::op::{self, Binary, Concat, Split};
use crate::read::ReadError;

/// Half of the channels pass through the blocks, the other half by them.
pub(super) fn c2psa(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let input = single(module, inputs)?;
    let whole = builder.child(module, "cv1", input)?;
    let half = module.required("c")?;
    let split = Split {
        axis: 1,
        sizes: vec![half; 2],
    };
    let name = format!("{}.split", module.path);
    let parts = builder.graph.add_with_outputs(&name, split, &[whole], 2);
    let attended = builder.child(module, "m", parts[1])?;
    let name = format!("{}.concat", module.path);
    let joined = builder
        .graph
        .add(&name, Concat { axis: 1 }, &[parts[0], attended]);
    builder.child(module, "cv2", joined)
}

/// Attention, then two convolutions, each with a shortcut.
pub(super) fn psa_block(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let mut value = single(module, inputs)?;
    let shortcut = module.bool("add", true)?;
    for part in ["attn", "ffn"] {
        let output = builder.child(module, part, value)?;
        let name = format!("{}.{part}.add", module.path);
        value = match shortcut {
            true => builder.graph.add(&name, Binary::Add, &[value, output]),
            false => output,
        };
    }
    Ok(value)
}

/// The position encoding, a depthwise convolution of the values, comes after the attention so that
/// it can add the attention's result as it stores its own.
pub(super) fn attention(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let input = single(module, inputs)?;
    let heads = module.required("num_heads")?;
    let (key_size, head_size) = (module.required("key_dim")?, module.required("head_dim")?);
    let scale = module.float("scale", (key_size as f64).powf(-0.5))? as f32;
    let attention = op::Attention {
        heads,
        key_size,
        head_size,
        scale,
    };
    // Attributes are below 2^20, so the product fits.
    if heads * (2 * key_size + head_size) > 1 << 20 {
        return Err(module.wrong("num_heads"));
    }
    let order = by_kind(&attention);
    let qkv = conv_block_reordered(builder, &module.child("qkv")?, input, Some(&order))?;
    let attended = builder.graph.add(&module.path, attention, &[qkv]);
    let split = Split {
        axis: 1,
        sizes: vec![heads * key_size, heads * key_size, heads * head_size],
    };
    let name = format!("{}.split", module.path);
    let parts = builder.graph.add_with_outputs(&name, split, &[qkv], 3);
    let position = builder.child(module, "pe", parts[2])?;
    let name = format!("{}.add", module.path);
    let sum = builder.graph.add(&name, Binary::Add, &[attended, position]);
    builder.child(module, "proj", sum)
}

/// The module keeps each head's query, key and value channels together; the operator wants all
/// queries, all keys, all values.
fn by_kind(attention: &op::Attention) -> Vec<usize> {
    let (key, value) = (attention.key_size, attention.head_size);
    let head = 2 * key + value;
    let kind = |start: usize, size: usize| {
        (0..attention.heads).flat_map(move |index| {
            let first = index * head + start;
            first..first + size
        })
    };
    kind(0, key)
        .chain(kind(key, key))
        .chain(kind(2 * key, value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_gathered_by_kind() {
        let attention = op::Attention {
            heads: 2,
            key_size: 1,
            head_size: 2,
            scale: 1.0,
        };
        assert_eq!(by_kind(&attention), [0, 4, 1, 5, 2, 3, 6, 7]);
    }
}
