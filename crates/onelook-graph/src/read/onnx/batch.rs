//! Frees an export from the batch it was made at: reshapes that spell the batch out follow the
//! input's instead, where that provably keeps each image's values together.

use onelook_types::Shape;

use crate::op::program::Reads;
use crate::op::{Op, Operator, Reshape, ReshapeTo};
use crate::{Graph, GraphError, Node, infer_shapes};

/// Lets the graph take any batch. Where that cannot be proven, it is pinned to the exported batch
/// by a reshape of the input that fits that batch only, so that another batch is an error.
///
/// A value is led by images when its first axis counts images, or equal parts of images, in
/// order. `fixed_sides` tells that height and width never change, so that extents may be written
/// into reshapes.
pub(super) fn free(graph: &mut Graph, input: &Shape, fixed_sides: bool) -> Result<(), GraphError> {
    let shapes = infer_shapes(graph, std::slice::from_ref(input))?;
    match freed_reshapes(graph, &shapes, fixed_sides) {
        Some(reshapes) => {
            for (index, reshape) in reshapes {
                graph.nodes[index].op = reshape.into();
            }
        }
        None => pin(graph, input[0]),
    }
    Ok(())
}

/// The reshapes to exchange, by node, or `None` where images get mixed.
fn freed_reshapes(
    graph: &Graph,
    shapes: &[Shape],
    fixed_sides: bool,
) -> Option<Vec<(usize, Reshape)>> {
    let mut led = vec![false; graph.values.len()];
    graph
        .inputs
        .iter()
        .for_each(|input| led[input.index()] = true);
    let batch = *shapes[graph.inputs.first()?.index()].first()?;
    let mut reshapes = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let output = &shapes[node.outputs.first()?.index()];
        match &node.op {
            Op::Program(program) if program.reads == Reads::Shapes => continue,
            Op::ReshapeTo(reshape) => {
                let is_led = led[node.inputs[0].index()];
                if is_led && !follows_batch(reshape, node, &led, shapes, output) {
                    return None;
                }
                led[node.outputs[0].index()] = is_led;
                continue;
            }
            _ => {}
        }
        let any_led = node.inputs.iter().any(|input| led[input.index()]);
        if let (Op::Reshape(reshape), true) = (&node.op, any_led) {
            let input = &shapes[node.inputs[0].index()];
            if !output.first()?.is_multiple_of(batch) {
                return None;
            }
            reshapes.push((index, following(reshape, input, output, fixed_sides)?));
        } else if any_led && !keeps_led(node, &led, shapes, output) {
            return None;
        }
        for output in &node.outputs {
            led[output.index()] = any_led;
        }
    }
    let all_led = graph.outputs.iter().all(|output| led[output.index()]);
    all_led.then_some(reshapes)
}

/// Whether outputs of an operator that reads a led value are led as well.
fn keeps_led(node: &Node, led: &[bool], shapes: &[Shape], output: &Shape) -> bool {
    let all_led = || node.inputs.iter().all(|input| led[input.index()]);
    match &node.op {
        Op::Binary(_) => node.inputs.iter().all(|input| {
            let shape = &shapes[input.index()];
            let full = shape.len() == output.len();
            match led[input.index()] {
                true => full && shape[0] == output[0],
                false => !full || shape[0] == 1,
            }
        }),
        Op::Concat(concat) => concat.axis > 0 && all_led(),
        Op::MatMul(_) => output.len() > 2 && all_led(),
        // It runs image by image, or on as many as it was exported for.
        Op::Program(program) => matches!(program.reads, Reads::Images(_)) && all_led(),
        Op::Reduce(reduce) => reduce.axis > 0,
        Op::Slice(slice) => slice.axis > 0,
        Op::Softmax(softmax) => softmax.axis > 0,
        Op::Split(split) => split.axis > 0,
        Op::Transpose(transpose) => transpose.order.first() == Some(&0),
        op => op.as_operator().is_per_image() && all_led(),
    }
}

/// Whether twice the batch gives twice the first extent, and nothing else.
fn follows_batch(
    reshape: &ReshapeTo,
    node: &Node,
    led: &[bool],
    shapes: &[Shape],
    output: &Shape,
) -> bool {
    let doubled = |shape: &Shape| {
        let mut extents = shape.to_vec();
        extents.iter_mut().take(1).for_each(|first| *first *= 2);
        Shape::from(extents)
    };
    let read = node.inputs.iter().map(|input| match led[input.index()] {
        true => doubled(&shapes[input.index()]),
        false => shapes[input.index()].clone(),
    });
    let read: Vec<Shape> = read.collect();
    let written = reshape.infer(&read.iter().collect::<Vec<_>>());
    written.is_ok_and(|written| written == [doubled(output)])
}

/// A reshape of a led value whose first extent follows the input's batch.
fn following(
    reshape: &Reshape,
    input: &Shape,
    output: &Shape,
    fixed_sides: bool,
) -> Option<Reshape> {
    let mut extents: Vec<i64> = reshape.extents.iter().map_while(|extent| *extent).collect();
    if input.first()? == output.first()? {
        extents[0] = 0;
        return Reshape::new(&extents);
    }
    if !fixed_sides && extents[1..].contains(&-1) {
        return None;
    }
    let rest = extents.iter_mut().zip(output.iter()).skip(1);
    rest.filter(|(extent, _)| **extent == -1)
        .for_each(|(extent, &known)| *extent = known as i64);
    extents[0] = -1;
    Reshape::new(&extents)
}

/// Lets the input through only at this batch, whatever its other extents are.
fn pin(graph: &mut Graph, batch: usize) {
    admit_only(graph, "fixed_batch", [batch as i64, 0, 0, 0]);
}

/// Lets the input through only with these extents; 0 stands for any.
pub(super) fn admit_only(graph: &mut Graph, name: &str, extents: [i64; 4]) {
    let image = graph.inputs[0];
    let Some(reshape) = Reshape::new(&extents) else {
        return;
    };
    let pinned = graph.add_value(name);
    graph.replace_uses(image, pinned);
    let node = Node {
        name: name.to_owned(),
        op: reshape.into(),
        inputs: vec![image],
        outputs: vec![pinned],
    };
    graph.nodes.insert(0, node);
}
