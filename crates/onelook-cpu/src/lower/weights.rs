//! Packed weights of the blocked convolutions, shared by all plans of one network.

use std::collections::HashMap;
use std::sync::Arc;

use onelook_graph::op::Conv;
use onelook_types::Tensor;

use crate::kernels::conv::winograd::WinogradWeights;
use crate::kernels::conv::{ConvShape, ConvWeights};
use crate::kernels::{Element, KernelError};

/// Packed weights by the addresses of the tensors they were packed from, which are kept alive
/// beside them.
#[derive(Default)]
pub(crate) struct WeightCache {
    /// The third number tells the parts of a grouped convolution apart: their first output.
    entries: Entries<ConvWeights>,
    transformed: Entries<WinogradWeights>,
}

type Entries<T> = HashMap<([usize; 3], Element), Entry<T>>;

struct Entry<T> {
    packed: Arc<T>,
    _sources: (Arc<Tensor>, Option<Arc<Tensor>>),
}

impl WeightCache {
    /// Bytes of all packed weights.
    pub(crate) fn bytes(&self) -> usize {
        let plain = self.entries.values().map(|entry| entry.packed.bytes());
        let transformed = self.transformed.values();
        plain
            .chain(transformed.map(|entry| entry.packed.bytes()))
            .sum()
    }

    /// The weights of a convolution of a map of type `element`, packed at the first call.
    pub(super) fn packed(
        &mut self,
        conv: &Conv,
        shape: ConvShape,
        element: Element,
    ) -> Result<Arc<ConvWeights>, KernelError> {
        self.packed_part(conv, 0, element, || {
            let bias = conv.bias.as_ref().map(|bias| bias.data());
            ConvWeights::pack(shape, conv.weight.data(), bias, element)
        })
    }

    /// The weights of the part of a convolution that starts with output `first`, made by `pack` at
    /// the first call.
    pub(super) fn packed_part(
        &mut self,
        conv: &Conv,
        first: usize,
        element: Element,
        pack: impl FnOnce() -> Result<ConvWeights, KernelError>,
    ) -> Result<Arc<ConvWeights>, KernelError> {
        cached(&mut self.entries, conv, first, element, pack)
    }

    /// The same as [`packed`](Self::packed), transformed for Winograd's algorithm.
    pub(super) fn transformed(
        &mut self,
        conv: &Conv,
        shape: ConvShape,
    ) -> Result<Arc<WinogradWeights>, KernelError> {
        cached(&mut self.transformed, conv, 0, Element::F32, || {
            let bias = conv.bias.as_ref().map(|bias| bias.data());
            WinogradWeights::pack(shape, conv.weight.data(), bias)
        })
    }
}

fn cached<T>(
    entries: &mut Entries<T>,
    conv: &Conv,
    first: usize,
    element: Element,
    pack: impl FnOnce() -> Result<T, KernelError>,
) -> Result<Arc<T>, KernelError> {
    let address = |tensor: &Arc<Tensor>| Arc::as_ptr(tensor) as usize;
    let bias = conv.bias.as_ref().map_or(0, address);
    let key = ([address(&conv.weight), bias, first], element);
    if let Some(entry) = entries.get(&key) {
        return Ok(Arc::clone(&entry.packed));
    }
    let packed = Arc::new(pack()?);
    let _sources = (Arc::clone(&conv.weight), conv.bias.clone());
    let entry = Entry {
        packed: Arc::clone(&packed),
        _sources,
    };
    entries.insert(key, entry);
    Ok(packed)
}
