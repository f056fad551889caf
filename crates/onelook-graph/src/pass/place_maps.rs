//! Decides which values are maps in an engine's channel layout and which stay dense, and puts
//! copies where a value is needed in the other form.

use std::collections::HashMap;

use onelook_types::Shape;

use crate::op::{Binary, Copy, Op};
use crate::{Graph, Node, ValueId};

/// The form in which a node takes its inputs and leaves its outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Map,
    Dense,
}

/// Which values are maps, by value index, and the shapes with those of the added copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Shape of every value.
    pub shapes: Vec<Shape>,
    /// Whether the value is a map: `[batch, channels, height, width]` in the engine's layout.
    pub is_map: Vec<bool>,
}

/// Assigns a form to every value: what convolutions, pools, upsampling and attention make are maps,
/// and so is what is computed element by element or joined and cut by channels from maps; all else
/// is dense. A convolution of at most four channels reads a graph input as it is.
pub fn place_maps(graph: &mut Graph, shapes: Vec<Shape>) -> Placed {
    let mut placed = Placed {
        is_map: vec![false; shapes.len()],
        shapes,
    };
    let mut twins: HashMap<ValueId, ValueId> = HashMap::new();
    for mut node in std::mem::take(&mut graph.nodes) {
        let form = form_of(graph, &placed, &node);
        let reads_input = is_stem(graph, &node);
        for input in &mut node.inputs {
            let is_map = placed.is_map[input.index()];
            if (form == Form::Map) == is_map || (reads_input && graph.inputs.contains(input)) {
                continue;
            }
            *input = *twins
                .entry(*input)
                .or_insert_with(|| add_twin(graph, &mut placed, *input));
        }
        for output in &node.outputs {
            placed.is_map[output.index()] = form == Form::Map;
        }
        graph.nodes.push(node);
    }
    placed
}

fn add_twin(graph: &mut Graph, placed: &mut Placed, value: ValueId) -> ValueId {
    let name = format!("{}.reorder", graph.value(value).name);
    let twin = graph.add(&name, Copy, &[value]);
    placed.shapes.push(placed.shapes[value.index()].clone());
    placed.is_map.push(!placed.is_map[value.index()]);
    twin
}

fn is_stem(graph: &Graph, node: &Node) -> bool {
    match &node.op {
        Op::Conv(conv) => {
            graph.inputs.contains(&node.inputs[0]) && conv.channels() <= 4 && conv.groups == 1
        }
        _ => false,
    }
}

fn form_of(graph: &Graph, placed: &Placed, node: &Node) -> Form {
    let shape = |value: &ValueId| &placed.shapes[value.index()];
    let is_map = |value: &ValueId| placed.is_map[value.index()];
    let all = |condition: bool| if condition { Form::Map } else { Form::Dense };
    match &node.op {
        Op::Activation(_) | Op::Copy(_) => all(is_map(&node.inputs[0])),
        // A quotient of maps would leave 0 / 0 in unused channels.
        Op::Binary(function) => all(*function != Binary::Div
            && node.inputs.iter().any(is_map)
            && shape(&node.inputs[0]) == shape(&node.inputs[1])
            && !node.inputs.iter().any(|input| graph.inputs.contains(input))),
        Op::Concat(concat) => all(concat.axis == 1
            && shape(&node.outputs[0]).len() == 4
            && node.inputs.iter().any(is_map)),
        Op::Split(split) => all(split.axis == 1 && is_map(&node.inputs[0])),
        op => all(op.as_operator().is_on_maps()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer_shapes;
    use crate::op::{Activation, MaxPool, Reshape};

    #[test]
    fn a_map_that_is_reshaped_gets_a_dense_twin() {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let pool = MaxPool {
            kernel: [2, 2],
            stride: [2, 2],
            padding: [0; 4],
        };
        let map = graph.add("pool", pool, &[input]);
        let flat = graph.add("flat", Reshape::new(&[1, -1]).unwrap(), &[map]);
        let on = graph.add("on", Activation::Relu, &[map]);
        graph.outputs.extend([flat, on]);
        let shapes = infer_shapes(&graph, &[Shape::from([1, 16, 4, 4])]).unwrap();
        let placed = place_maps(&mut graph, shapes);
        insta::assert_snapshot!(graph.to_text(Some(&placed.shapes)), @r"
        input %0: 1x16x4x4
        %4: 1x16x4x4 = copy (%0)  # in.reorder
        %1: 1x16x2x2 = max_pool 2x2 stride 2 padding 0 (%4)  # pool
        %5: 1x16x2x2 = copy (%1)  # pool.reorder
        %2: 1x64 = reshape 1x-1 (%5)  # flat
        %3: 1x16x2x2 = relu (%1)  # on
        output %2
        output %3
        ");
        let maps: Vec<usize> = (0..6).filter(|&value| placed.is_map[value]).collect();
        assert_eq!(maps, [1, 3, 4]);
    }
}
