//! From a graph and the shape of its inputs to a plan: forms, views, memory, kernels.
//!
//! One file per group of operators binds kernels to places. Nothing here runs a kernel.

mod conv;
mod dense;
mod elements;
mod grouped;
mod maps;
mod program;
mod weights;

pub(crate) use weights::WeightCache;

use std::sync::Arc;

use onelook_graph::pass::{bind_shapes, elide_views, place_maps};
use onelook_graph::{
    ExplainedNode, Graph, GraphError, MemoryPlan, Node, Op, RunError, ValueId, infer_shapes,
};
use onelook_types::{Precision, Shape};

use crate::isa::Isa;
use crate::kernels::{BLOCK, Element, KernelError, MapLayout};
use crate::plan::{DensePlace, MapPlace, Plan, Step};

/// Values start on cache lines.
const ALIGNMENT: usize = 64;

/// What all plans of one network have in common.
pub(crate) struct Lowering<'a> {
    graph: &'a Graph,
    isa: Isa,
    precision: Precision,
    threads: usize,
}

/// A graph with the places of its values.
struct Placed {
    graph: Graph,
    shapes: Vec<Shape>,
    is_map: Vec<bool>,
    pads: Vec<usize>,
    elements: Vec<Element>,
    memory: MemoryPlan,
    isa: Isa,
    threads: usize,
}

impl<'a> Lowering<'a> {
    pub(crate) fn new(graph: &'a Graph, isa: Isa, precision: Precision, threads: usize) -> Self {
        Self {
            graph,
            isa,
            precision,
            threads,
        }
    }

    /// The plan for one image with inputs of these shapes.
    pub(crate) fn plan(
        &self,
        inputs: &[Shape],
        memory_limit: usize,
        weights: &mut WeightCache,
    ) -> Result<Plan, RunError> {
        let placed = self.place(inputs)?;
        if placed.memory.arena_bytes > memory_limit {
            return Err(RunError::Memory {
                shape: inputs.first().cloned().unwrap_or_default(),
                needed: placed.memory.arena_bytes,
                limit: memory_limit,
            });
        }
        let mut plan = Plan {
            steps: Vec::new(),
            listing: Vec::new(),
            outputs: placed
                .graph
                .outputs
                .iter()
                .map(|&v| placed.shape(v).clone())
                .collect(),
            arena_words: placed.memory.arena_bytes / size_of::<f32>(),
            unshared_bytes: placed.memory.unshared_bytes,
            scratch_floats: 0,
        };
        for node in placed
            .graph
            .nodes
            .iter()
            .filter(|node| !matches!(node.op, Op::Constant(_)))
        {
            let step = placed.bind(node, weights).map_err(|error| {
                let shapes: Vec<&Shape> = node.inputs.iter().map(|&v| placed.shape(v)).collect();
                GraphError::shape(node.op.name(), &shapes, error.to_string()).at(&node.name)
            })?;
            plan.listing.push(placed.explain(node, step.as_ref()));
            plan.push(step);
        }
        for (index, &output) in placed.graph.outputs.iter().enumerate() {
            let step = placed.bind_output(index, output);
            plan.listing
                .push(placed.explain_output(output, step.as_ref()));
            plan.push(step);
        }
        Ok(plan)
    }

    fn place(&self, inputs: &[Shape]) -> Result<Placed, RunError> {
        let mut graph = self.graph.clone();
        let shapes = infer_shapes(&graph, inputs)?;
        check_sizes(&graph, &shapes)?;
        bind_shapes(&mut graph, &shapes)?;
        let onelook_graph::pass::Placed { shapes, mut is_map } = place_maps(&mut graph, shapes);
        let shapes = elide_views(&mut graph, shapes, &is_map, BLOCK);
        is_map.resize(shapes.len(), true);
        check_maps(&graph, &shapes, &is_map)?;
        let pads = pads(&graph);
        let elements = elements::choose(&graph, &is_map, self.precision);
        let mut placed = Placed {
            memory: MemoryPlan::default(),
            isa: self.isa,
            threads: self.threads,
            graph,
            shapes,
            is_map,
            pads,
            elements,
        };
        let producers = placed.graph.producers();
        placed.memory = MemoryPlan::new(&placed.graph, ALIGNMENT, |value| {
            let outside = placed.graph.inputs.contains(&value)
                || placed.graph.constant(value, &producers).is_some();
            if outside {
                0
            } else {
                placed.words(value) * size_of::<f32>()
            }
        });
        placed.check_regions()?;
        Ok(placed)
    }
}

/// Refuses extents whose bytes do not fit the address space, before any are added up.
fn check_sizes(graph: &Graph, shapes: &[Shape]) -> Result<(), RunError> {
    const MOST: usize = 1 << 40;
    for node in &graph.nodes {
        for &output in &node.outputs {
            let shape = &shapes[output.index()];
            if shape
                .checked_elements()
                .is_none_or(|elements| elements > MOST)
                || shape.contains(&0)
            {
                let reason = "an output is empty or far too large";
                return Err(GraphError::shape(node.op.name(), &[shape], reason)
                    .at(&node.name)
                    .into());
            }
        }
    }
    Ok(())
}

/// Refuses maps that do not have the four axes which kernels take for granted.
fn check_maps(graph: &Graph, shapes: &[Shape], is_map: &[bool]) -> Result<(), RunError> {
    for node in &graph.nodes {
        for &value in node.inputs.iter().chain(&node.outputs) {
            let shape = &shapes[value.index()];
            if is_map[value.index()] && shape.nchw().is_none() {
                let reason = "a map has four axes: batch, channels, height, width";
                return Err(GraphError::shape(node.op.name(), &[shape], reason)
                    .at(&node.name)
                    .into());
            }
        }
    }
    Ok(())
}

/// The zero padding that each root needs around it for those who read it, by value index.
fn pads(graph: &Graph) -> Vec<usize> {
    let mut pads = vec![0; graph.values.len()];
    for node in &graph.nodes {
        if let Op::Conv(conv) = &node.op {
            let root = graph.root(node.inputs[0]).0;
            let widest = conv.padding.iter().copied().max().unwrap_or(0);
            pads[root.index()] = widest.max(pads[root.index()]);
        }
    }
    pads
}

impl Plan {
    fn push(&mut self, step: Box<dyn Step>) {
        let lines = step.scratch_floats().next_multiple_of(BLOCK);
        self.scratch_floats = self.scratch_floats.max(lines);
        self.steps.push(step);
    }
}

impl Placed {
    /// Refuses a graph in which a kernel would touch a value that has no place in memory.
    fn check_regions(&self) -> Result<(), RunError> {
        let producers = self.graph.producers();
        let outside = |value: ValueId| {
            !self.is_map(value)
                && (self.graph.inputs.contains(&value)
                    || self.graph.constant(value, &producers).is_some())
        };
        for node in &self.graph.nodes {
            for &value in node.inputs.iter().chain(&node.outputs) {
                // Dense values are used where they are, maps where their root is.
                let owner = match self.is_map(value) {
                    true => self.graph.root(value).0,
                    false => value,
                };
                if !outside(value) && self.memory.regions[owner.index()].is_none() {
                    let reason = "a value has no place in memory";
                    return Err(
                        GraphError::shape(node.op.name(), &[self.shape(value)], reason)
                            .at(&node.name)
                            .into(),
                    );
                }
            }
        }
        Ok(())
    }

    fn shape(&self, value: ValueId) -> &Shape {
        &self.shapes[value.index()]
    }

    /// The type of a value: that of its root where it is a map.
    fn element(&self, value: ValueId) -> Element {
        match self.is_map(value) {
            true => self.elements[self.graph.root(value).0.index()],
            false => Element::F32,
        }
    }

    fn is_map(&self, value: ValueId) -> bool {
        self.is_map[value.index()]
    }

    /// 32-bit words of a root value.
    fn words(&self, value: ValueId) -> usize {
        match self.is_map(value) {
            true => self.layout(value).image_words(),
            false => self.shape(value).elements(),
        }
    }

    fn layout(&self, root: ValueId) -> MapLayout {
        let extents = self.shape(root).nchw();
        let [_, channels, height, width] = extents.expect("`check_maps` found four axes");
        let pad = self.pads[root.index()];
        MapLayout::new(channels, height, width, pad).of(self.elements[root.index()])
    }

    fn offset(&self, root: ValueId) -> usize {
        let region = self.memory.regions[root.index()];
        region.expect("`check_regions` found one").offset / size_of::<f32>()
    }

    fn map(&self, value: ValueId) -> MapPlace {
        let (root, channel) = self.graph.root(value);
        MapPlace {
            offset: self.offset(root),
            whole: self.layout(root),
            first_plane: channel / BLOCK,
            channels: self.shape(value)[1],
        }
    }

    fn dense(&self, value: ValueId) -> DensePlace {
        if let Some(index) = self.graph.inputs.iter().position(|&input| input == value) {
            return DensePlace::Input(index);
        }
        match self.graph.constant(value, &self.graph.producers()) {
            Some(tensor) => DensePlace::Constant(Arc::clone(tensor)),
            None => DensePlace::Arena(self.offset(value)),
        }
    }

    fn bind(&self, node: &Node, weights: &mut WeightCache) -> Result<Box<dyn Step>, KernelError> {
        match &node.op {
            Op::Conv(conv) => self.bind_conv(node, conv, weights),
            _ if node
                .inputs
                .iter()
                .chain(&node.outputs)
                .any(|&value| self.is_map(value)) =>
            {
                self.bind_maps(node)
            }
            _ => self.bind_dense(node),
        }
    }

    fn explain(&self, node: &Node, step: &dyn Step) -> ExplainedNode {
        let operator = node.op.as_operator();
        let inputs: Vec<&Shape> = node.inputs.iter().map(|&value| self.shape(value)).collect();
        let values: usize = node
            .inputs
            .iter()
            .chain(&node.outputs)
            .map(|&v| self.element(v).bytes(self.shape(v).elements()))
            .sum();
        let weights = match node.op {
            Op::Conv(_) => self.element(node.inputs[0]),
            _ => Element::F32,
        };
        ExplainedNode {
            name: node.name.clone(),
            op: format!("{} {}", operator.name(), operator.attributes())
                .trim_end()
                .to_owned(),
            kernel: step.kernel().to_owned(),
            choice: step.choice(),
            output: node
                .outputs
                .first()
                .map(|&v| self.shape(v).clone())
                .unwrap_or_default(),
            flops: operator.flops(&inputs),
            bytes: (values + weights.bytes(operator.parameters())) as u64,
        }
    }

    fn explain_output(&self, output: ValueId, step: &dyn Step) -> ExplainedNode {
        ExplainedNode {
            name: format!("{}.output", self.graph.value(output).name),
            op: "output".to_owned(),
            kernel: step.kernel().to_owned(),
            choice: step.choice(),
            output: self.shape(output).clone(),
            flops: 0,
            bytes: (2 * self.shape(output).elements() * size_of::<f32>()) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use onelook_graph::op::{Activation, Conv};
    use onelook_types::Tensor;

    use super::*;

    fn graph() -> Graph {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let weight = Tensor::from_fn([4, 3, 1, 1], |_| 1.0);
        let map = graph.add("conv", Conv::new(Arc::new(weight), None), &[input]);
        let output = graph.add("relu", Activation::Relu, &[map]);
        graph.outputs.push(output);
        graph
    }

    #[test]
    fn a_value_without_a_place_in_memory_is_refused() {
        let graph = graph();
        let lowering = Lowering::new(&graph, Isa::Portable, Precision::F32, 1);
        let mut placed = lowering.place(&[Shape::from([1, 3, 2, 2])]).unwrap();
        let output = placed.graph.outputs[0];
        placed.memory.regions[output.index()] = None;
        let error = placed.check_regions().unwrap_err().to_string();
        assert!(error.contains("no place in memory"), "{error}");
    }

    #[test]
    fn a_map_of_another_rank_is_refused() {
        let graph = graph();
        let shapes = vec![Shape::from([1, 3, 2]); graph.values.len()];
        let error = check_maps(&graph, &shapes, &vec![true; shapes.len()]).unwrap_err();
        assert!(error.to_string().contains("four axes"), "{error}");
    }
}
