//! Removes concatenations and splits of channels: the pieces are views of the whole, written and
//! read in place.

use onelook_types::Shape;

use crate::op::{Copy, Op};
use crate::{Graph, Node, View};

/// Makes pieces of maps views where their channel offsets are multiples of `channel_block`.
///
/// `is_map` tells by value index which values the engine keeps as maps in its channel layout;
/// others are left alone. A piece that already lies elsewhere is copied into place. Shapes must be
/// those of the graph; returns them with those of the values that were added.
pub fn elide_views(
    graph: &mut Graph,
    mut shapes: Vec<Shape>,
    is_map: &[bool],
    channel_block: usize,
) -> Vec<Shape> {
    for node in std::mem::take(&mut graph.nodes) {
        let maps = node
            .inputs
            .iter()
            .chain(&node.outputs)
            .all(|value| is_map[value.index()]);
        match &node.op {
            Op::Split(split) if maps && split.axis == 1 && aligned(&split.sizes, channel_block) => {
                view_pieces(graph, &node, &split.sizes);
            }
            Op::Concat(concat) if maps && concat.axis == 1 => {
                let sizes: Vec<usize> = node
                    .inputs
                    .iter()
                    .map(|input| shapes[input.index()][1])
                    .collect();
                match aligned(&sizes, channel_block) {
                    true => place_pieces(graph, &mut shapes, &node, &sizes),
                    false => graph.nodes.push(node),
                }
            }
            _ => graph.nodes.push(node),
        }
    }
    shapes
}

/// Whether every piece but the last ends on a block's edge.
fn aligned(sizes: &[usize], channel_block: usize) -> bool {
    sizes
        .split_last()
        .is_some_and(|(_, rest)| rest.iter().all(|size| size % channel_block == 0))
}

fn view_pieces(graph: &mut Graph, node: &Node, sizes: &[usize]) {
    let mut channel = 0;
    for (&output, size) in node.outputs.iter().zip(sizes) {
        graph.values[output.index()].view = Some(View {
            of: node.inputs[0],
            channel,
        });
        channel += size;
    }
}

fn place_pieces(graph: &mut Graph, shapes: &mut Vec<Shape>, node: &Node, sizes: &[usize]) {
    let whole = node.outputs[0];
    let mut channel = 0;
    for (position, (&input, size)) in node.inputs.iter().zip(sizes).enumerate() {
        let view = Some(View { of: whole, channel });
        let free = graph.value(input).view.is_none()
            && !graph.inputs.contains(&input)
            && !node.inputs[..position].contains(&input);
        if free {
            graph.values[input.index()].view = view;
        } else {
            let name = format!("{}.copy{position}", node.name);
            let copy = graph.add(&name, Copy, &[input]);
            graph.values[copy.index()].view = view;
            shapes.push(shapes[input.index()].clone());
        }
        channel += size;
    }
}
