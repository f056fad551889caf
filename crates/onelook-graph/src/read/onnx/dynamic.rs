//! Exports whose sides are symbols: what was imported for one size is made to hold for all, or the
//! size is pinned.
//!
//! Importing folds what follows from the input's shape into attributes. A second import for another
//! size shows which attributes those are: where nothing differs, the first import holds for any size.

use onelook_types::Shape;

use crate::op::program::{Data, Reads};
use crate::op::{Constant, Op, Reshape};
use crate::{Graph, GraphError, infer_shapes};

/// Makes the first of two imports of a file, at sizes of their own, hold for both; `false` where
/// something differs that has no form for all sizes.
pub(super) fn reconcile(
    one: &mut Graph,
    other: &Graph,
    sizes: [&Shape; 2],
) -> Result<bool, GraphError> {
    let first = infer_shapes(one, std::slice::from_ref(sizes[0]))?;
    let second = infer_shapes(other, std::slice::from_ref(sizes[1]))?;
    if one.nodes.len() != other.nodes.len() || one.outputs != other.outputs {
        return Ok(false);
    }
    for (node, twin) in one.nodes.iter_mut().zip(&other.nodes) {
        if node.inputs != twin.inputs || node.outputs != twin.outputs {
            return Ok(false);
        }
        if is_same(&node.op, &twin.op) {
            continue;
        }
        let (Op::Reshape(_), Op::Reshape(_)) = (&node.op, &twin.op) else {
            return Ok(false);
        };
        let (input, output) = (node.inputs[0].index(), node.outputs[0].index());
        let inputs = [&first[input], &second[input]];
        match plain(inputs, [&first[output], &second[output]]) {
            Some(reshape) => node.op = reshape.into(),
            None => return Ok(false),
        }
    }
    Ok(true)
}

fn is_same(one: &Op, other: &Op) -> bool {
    match (one, other) {
        (Op::Constant(one), Op::Constant(other)) => one.tensor == other.tensor,
        (Op::Program(one), Op::Program(other)) => one == other,
        (Op::ReshapeTo(one), Op::ReshapeTo(other)) => one == other,
        (Op::Conv(left), Op::Conv(right)) => {
            let same_weights = left.weight == right.weight && left.bias == right.bias;
            same_weights && attributes(one) == attributes(other)
        }
        _ => attributes(one) == attributes(other),
    }
}

fn attributes(op: &Op) -> (&'static str, String) {
    (op.name(), op.as_operator().attributes())
}

/// Makes constants and plain reshapes of what turns out not to depend on the size.
pub(super) fn settle(graph: &mut Graph, sizes: [&Shape; 2]) -> Result<(), GraphError> {
    let one = infer_shapes(graph, std::slice::from_ref(sizes[0]))?;
    let other = infer_shapes(graph, std::slice::from_ref(sizes[1]))?;
    for node in &mut graph.nodes {
        let read = |shapes: &[Shape]| -> Vec<Shape> {
            node.inputs
                .iter()
                .map(|id| shapes[id.index()].clone())
                .collect()
        };
        let (first, second) = (read(&one), read(&other));
        match &node.op {
            Op::Program(program) if program.reads == Reads::Shapes => {
                let bound = program.bind(&first.iter().collect::<Vec<_>>())?;
                if bound == program.bind(&second.iter().collect::<Vec<_>>())?
                    && let Data::Floats(tensor) = bound
                {
                    node.op = Constant { tensor }.into();
                    node.inputs.clear();
                }
            }
            Op::ReshapeTo(_) => {
                let output = node.outputs[0].index();
                let inputs = [&first[0], &second[0]];
                if let Some(reshape) = plain(inputs, [&one[output], &other[output]]) {
                    node.op = reshape.into();
                    node.inputs.truncate(1);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The plain reshape that gives these outputs for these inputs, if one extent at most varies.
fn plain(inputs: [&Shape; 2], outputs: [&Shape; 2]) -> Option<Reshape> {
    let [one, other] = outputs;
    if one.len() != other.len() {
        return None;
    }
    let keeps_first = (0..2).all(|size| inputs[size].first() == outputs[size].first());
    let extent = |axis: usize| match (axis, one[axis] == other[axis]) {
        (0, true) if keeps_first => 0,
        (_, true) => one[axis] as i64,
        (_, false) => -1,
    };
    let extents: Vec<i64> = (0..one.len()).map(extent).collect();
    let varying = extents.iter().filter(|&&extent| extent == -1).count();
    // A first extent that is not the batch but follows it would have to be the open one.
    match varying == 0 || (varying == 1 && keeps_first) {
        true => Reshape::new(&extents),
        false => None,
    }
}
