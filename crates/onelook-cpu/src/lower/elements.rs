//! Which type each map has.
//!
//! In half precision all maps are bf16 but those that a kernel has no other form for than f32: what attention reads, and
//! what becomes dense, such as the network's outputs, whose accuracy matters most. Where a kernel needs maps of one
//! type, one f32 map makes the others f32. A convolution reads one type and writes another as it comes.

use onelook_graph::{Graph, Node, Op, ValueId};
use onelook_types::Precision;

use crate::kernels::Element;

/// The types by value index; those of roots count.
pub(super) fn choose(graph: &Graph, is_map: &[bool], precision: Precision) -> Vec<Element> {
    let mut elements = vec![Element::F32; graph.values.len()];
    if precision == Precision::F32 {
        return elements;
    }
    for (value, element) in elements.iter_mut().enumerate() {
        if is_map[value] {
            *element = Element::Bf16;
        }
    }
    let root = |value: ValueId| graph.root(value).0.index();
    let of = |node: &Node| -> Vec<usize> {
        let values = node.inputs.iter().chain(&node.outputs);
        let maps = values.filter(|value| is_map[value.index()]);
        maps.map(|&value| root(value)).collect()
    };
    for &output in &graph.outputs {
        elements[root(output)] = Element::F32;
    }
    for node in &graph.nodes {
        match &node.op {
            Op::Conv(_) => {}
            Op::Attention(_) => elements[root(node.inputs[0])] = Element::F32,
            _ if of(node).len() == node.inputs.len() + node.outputs.len() => {}
            _ => of(node)
                .into_iter()
                .for_each(|value| elements[value] = Element::F32),
        }
    }
    loop {
        let mut changed = false;
        for node in &graph.nodes {
            if matches!(node.op, Op::Conv(_) | Op::Attention(_)) {
                continue;
            }
            let roots = of(node);
            if roots.iter().any(|&value| elements[value] == Element::F32) {
                for value in roots {
                    changed |= elements[value] != Element::F32;
                    elements[value] = Element::F32;
                }
            }
        }
        if !changed {
            return elements;
        }
    }
}
