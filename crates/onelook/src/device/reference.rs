//! The plain executor behind the engines' door, so that every route can be compared with the truth.

use std::time::{Duration, Instant};

use onelook_graph::{
    Backend, CompileError, Executable, ExplainedNode, Explanation, Graph, MemoryPlan, RunError,
    infer_shapes, reference,
};
use onelook_types::{Precision, Shape, Tensor};

/// Opens graphs for [`onelook_graph::reference`].
#[derive(Debug, Clone, Copy, Default)]
pub struct ReferenceBackend;

impl Backend for ReferenceBackend {
    fn describe(&self) -> String {
        "reference, 1 thread".to_owned()
    }

    fn compile(&self, graph: &Graph) -> Result<Box<dyn Executable>, CompileError> {
        Ok(Box::new(ReferenceExecutable {
            graph: graph.clone(),
        }))
    }
}

struct ReferenceExecutable {
    graph: Graph,
}

impl Executable for ReferenceExecutable {
    fn run_into(&self, inputs: &[&Tensor], outputs: &mut Vec<Tensor>) -> Result<(), RunError> {
        *outputs = reference::run(&self.graph, inputs)?;
        Ok(())
    }

    fn explain(&self, inputs: &[Shape]) -> Result<Explanation, RunError> {
        let graph = &self.graph;
        let shapes = infer_shapes(graph, inputs)?;
        let bytes = |value: onelook_graph::ValueId| 4 * shapes[value.index()].elements();
        let plan = MemoryPlan::new(graph, 64, bytes);
        let nodes = graph.nodes.iter().map(|node| {
            let operator = node.op.as_operator();
            let read: Vec<&Shape> = node.inputs.iter().map(|id| &shapes[id.index()]).collect();
            let values = node.inputs.iter().chain(&node.outputs);
            ExplainedNode {
                name: node.name.clone(),
                op: format!("{} {}", operator.name(), operator.attributes()),
                kernel: format!("{}_f32_nchw_reference", operator.name()),
                choice: "plain loops".to_owned(),
                output: node
                    .outputs
                    .first()
                    .map(|id| shapes[id.index()].clone())
                    .unwrap_or_default(),
                flops: operator.flops(&read),
                bytes: (values.map(|&id| bytes(id)).sum::<usize>() + 4 * operator.parameters())
                    as u64,
            }
        });
        Ok(Explanation {
            device: ReferenceBackend.describe(),
            precision: Precision::F32,
            nodes: nodes.collect(),
            arena_bytes: plan.arena_bytes,
            unshared_bytes: plan.unshared_bytes,
            weight_bytes: 4 * graph.parameters(),
        })
    }

    /// Nodes run one after the other inside one call, so the whole time is shared out by their
    /// floating point operations.
    fn profile(&self, inputs: &[&Tensor]) -> Result<Vec<Duration>, RunError> {
        let shapes: Vec<Shape> = inputs.iter().map(|input| input.shape().clone()).collect();
        let flops: Vec<u64> = self
            .explain(&shapes)?
            .nodes
            .iter()
            .map(|n| n.flops)
            .collect();
        let total = flops.iter().sum::<u64>().max(1) as f64;
        let start = Instant::now();
        self.run(inputs)?;
        let elapsed = start.elapsed();
        let share = |&flops: &u64| elapsed.mul_f64(flops as f64 / total);
        Ok(flops.iter().map(share).collect())
    }
}
