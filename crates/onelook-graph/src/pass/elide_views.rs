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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer_shapes;
    use crate::op::{Activation, Concat, Split};

    /// A map cut in two, one piece changed, everything joined; the first piece is joined twice.
    fn graph(sizes: Vec<usize>) -> (Graph, Vec<Shape>) {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let map = graph.add("map", Activation::Relu, &[input]);
        let pieces = graph.add_with_outputs("cut", Split { axis: 1, sizes }, &[map], 2);
        let on = graph.add("on", Activation::Relu, &[pieces[1]]);
        let inputs = [pieces[0], pieces[1], on, pieces[0]];
        let joined = graph.add("join", Concat { axis: 1 }, &inputs);
        graph.outputs.push(joined);
        let shapes = infer_shapes(&graph, &[Shape::from([1, 32, 2, 2])]).unwrap();
        (graph, shapes)
    }

    #[test]
    fn pieces_lie_inside_the_whole_and_shared_ones_are_copied() {
        let (mut graph, shapes) = graph(vec![16, 16]);
        let maps = vec![true; shapes.len()];
        let shapes = elide_views(&mut graph, shapes, &maps, 16);
        insta::assert_snapshot!(graph.to_text(Some(&shapes)), @r"
        input %0: 1x32x2x2
        %1: 1x32x2x2 = relu (%0)  # map
        %4: 1x16x2x2 @ %5[32..] = relu (%3)  # on
        %6: 1x16x2x2 @ %5[0..] = copy (%2)  # join.copy0
        %7: 1x16x2x2 @ %5[16..] = copy (%3)  # join.copy1
        %8: 1x16x2x2 @ %5[48..] = copy (%2)  # join.copy3
        output %5
        ");
    }

    #[test]
    fn pieces_that_do_not_start_on_a_block_are_left_alone() {
        let (mut graph, shapes) = graph(vec![8, 24]);
        let maps = vec![true; shapes.len()];
        let shapes = elide_views(&mut graph, shapes, &maps, 16);
        insta::assert_snapshot!(graph.to_text(Some(&shapes)), @r"
        input %0: 1x32x2x2
        %1: 1x32x2x2 = relu (%0)  # map
        %2: 1x8x2x2, %3: 1x24x2x2 = split axis 1 into 8+24 (%1)  # cut
        %4: 1x24x2x2 = relu (%3)  # on
        %5: 1x64x2x2 = concat axis 1 (%2, %3, %4, %2)  # join
        output %5
        ");
    }

    #[test]
    fn values_that_are_no_maps_are_left_alone() {
        let (mut graph, shapes) = graph(vec![16, 16]);
        let maps = vec![false; shapes.len()];
        let before = graph.to_string();
        elide_views(&mut graph, shapes, &maps, 16);
        assert_eq!(graph.to_string(), before);
    }
}
