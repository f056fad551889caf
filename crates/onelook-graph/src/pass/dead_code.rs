//! Removes nodes whose outputs nobody reads.

use crate::Graph;

/// Removes every node that the graph's outputs do not depend on.
pub fn dead_code(graph: &mut Graph) {
    let mut alive = vec![false; graph.values.len()];
    graph
        .outputs
        .iter()
        .for_each(|output| alive[output.index()] = true);
    let mut kept = Vec::with_capacity(graph.nodes.len());
    for node in std::mem::take(&mut graph.nodes).into_iter().rev() {
        if node.outputs.iter().any(|output| alive[output.index()]) {
            node.inputs
                .iter()
                .for_each(|input| alive[input.index()] = true);
            kept.push(node);
        }
    }
    kept.reverse();
    graph.nodes = kept;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Activation;

    #[test]
    fn only_what_outputs_depend_on_stays() {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let kept = graph.add("kept", Activation::Relu, &[input]);
        let unread = graph.add("unread", Activation::Relu, &[kept]);
        graph.add("behind unread", Activation::Exp, &[unread]);
        graph.outputs.push(kept);
        dead_code(&mut graph);
        insta::assert_snapshot!(graph, @r"
        input %0
        %1 = relu (%0)  # kept
        output %1
        ");
    }
}
