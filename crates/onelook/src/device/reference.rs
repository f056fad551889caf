//! The plain executor as an engine, so that every other can be compared with it.

use std::time::{Duration, Instant};

use onelook_graph::{
    Backend, CompileError, CompileOptions, Executable, ExplainedNode, Explanation, Graph,
    GraphError, MemoryPlan, PlanKind, Prepared, RunError, RunOutput, infer_shapes, reference,
    tensor_items,
};
use onelook_types::{Precision, Shape, Tensor};

/// Opens graphs for [`onelook_graph::reference`].
#[derive(Debug, Clone, Copy, Default)]
pub struct ReferenceBackend;

impl Backend for ReferenceBackend {
    fn describe(&self) -> String {
        "reference, 1 thread".to_owned()
    }

    fn compile(
        &self,
        graph: &Graph,
        options: &CompileOptions,
    ) -> Result<Box<dyn Executable>, CompileError> {
        CompileError::check_precision(&self.describe(), options.precision, &[Precision::F32])?;
        Ok(Box::new(ReferenceExecutable {
            graph: graph.clone(),
        }))
    }
}

struct ReferenceExecutable {
    graph: Graph,
}

impl Executable for ReferenceExecutable {
    fn run(&self, batch: &[Prepared<'_>]) -> Result<RunOutput, RunError> {
        let items = tensor_items(batch, self.graph.inputs.len())?;
        let mut runs = Vec::with_capacity(items.len());
        for item in items {
            runs.push(reference::run(
                &self.graph,
                &item.iter().collect::<Vec<_>>(),
            )?);
        }
        Ok(RunOutput::Raw(stack(runs)?))
    }

    fn explain(&self, kind: PlanKind, inputs: &[Shape]) -> Result<Explanation, RunError> {
        kind.expect_tensor()?;
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
            kind,
            precision: Precision::F32,
            nodes: nodes.collect(),
            arena_bytes: plan.arena_bytes,
            unshared_bytes: plan.unshared_bytes,
            weight_bytes: 4 * graph.parameters(),
            modules: None,
        })
    }

    /// Nodes run one after the other inside one call, so the whole time is shared out by their
    /// floating point operations.
    fn profile(&self, batch: &[Prepared<'_>]) -> Result<Vec<Duration>, RunError> {
        let items = tensor_items(batch, self.graph.inputs.len())?;
        let shapes = items[0].iter().map(|input| input.shape().clone());
        let flops: Vec<u64> = self
            .explain(PlanKind::Tensor, &shapes.collect::<Vec<_>>())?
            .nodes
            .iter()
            .map(|n| n.flops)
            .collect();
        let total = flops.iter().sum::<u64>().max(1) as f64;
        let start = Instant::now();
        self.run(batch)?;
        let elapsed = start.elapsed();
        let share = |&flops: &u64| elapsed.mul_f64(flops as f64 / total);
        Ok(flops.iter().map(share).collect())
    }
}

/// The outputs of several runs, each along the first axis.
fn stack(runs: Vec<Vec<Tensor>>) -> Result<Vec<Tensor>, RunError> {
    let outputs = runs.first().map_or(0, Vec::len);
    let stacked = |output: usize| {
        let parts = || runs.iter().map(|run| &run[output]);
        let mut extents = runs[0][output].shape().to_vec();
        if let Some(first) = extents.first_mut() {
            *first = parts().filter_map(|part| part.shape().first()).sum();
        }
        let data: Vec<f32> = parts().flat_map(|part| part.data()).copied().collect();
        let mismatch = |_| {
            let shapes: Vec<&Shape> = parts().map(Tensor::shape).collect();
            GraphError::shape("output", &shapes, "outputs of a batch must stack")
        };
        Ok(Tensor::new(extents, data).map_err(mismatch)?)
    };
    (0..outputs).map(stacked).collect()
}
