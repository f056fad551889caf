//! From steps to launches: kernel specs, tiles, arguments, memory.

mod ends;
mod head;
mod maps;
mod products;

use std::collections::HashMap;
use std::sync::Arc;

use onelook_graph::op::Conv;
use onelook_graph::{Graph, Node, Op, Region as Lifetime, ValueId, place_regions};
use onelook_ptx::lang::Kernel;
use onelook_types::{DetectHead, OutputEncoding, Shape};

use super::buffers::{BufferAssignment, ChannelSlice};
use super::constants::Constants;
use super::fusion::{FusedStep, steps};
use super::order::{Access, LaunchOrder};
use super::tiling::Tiles;
use super::{LowerError, Options};
use crate::kernels::conv::Part;
use crate::kernels::gemm::Tile;
use crate::kernels::window::Window;
use crate::kernels::{Element, KernelSpec, Map};
use crate::plan::{Argument, Launch, Plan, Region};

/// Buffers start on boundaries of so many bytes.
const ALIGNMENT: usize = 256;

/// A step, or an end of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Planes become a map: a graph input.
    Enter(ValueId),
    /// What the graph computes.
    FusedStep(FusedStep),
    /// A map becomes planes: a value and the output's number.
    Leave(ValueId, usize),
}

/// The stages of a graph, or the nodes that no kernel computes.
pub fn all_steps(graph: &Graph, options: &Options<'_>) -> Result<Vec<Stage>, Vec<String>> {
    let detect = options.detect.is_some();
    let steps = steps(graph, detect, detect)?;
    let mut stages = Vec::new();
    if !detect {
        stages.extend(graph.inputs.iter().map(|&input| Stage::Enter(input)));
    }
    let ends_in_head = steps.iter().any(|step| matches!(step, FusedStep::Head(_)));
    stages.extend(steps.into_iter().map(Stage::FusedStep));
    if !ends_in_head {
        let outputs = graph.outputs.iter().enumerate();
        stages.extend(outputs.map(|(index, &output)| Stage::Leave(output, index)));
    }
    Ok(stages)
}

/// Whether the stages take images, and end in what this head says.
pub fn are_images_to_boxes(graph: &Graph, stages: &[Stage], head: &DetectHead) -> bool {
    let reads_input = |node: &Node| node.inputs.iter().any(|it| graph.inputs.contains(it));
    let is_stem = |index: usize| stages.contains(&Stage::FusedStep(FusedStep::Stem(index)));
    let mut readers = (0..graph.nodes.len()).filter(|&index| reads_input(&graph.nodes[index]));
    let levels = stages.iter().find_map(|stage| match stage {
        Stage::FusedStep(FusedStep::Head(levels)) => Some(levels),
        _ => None,
    });
    let outputs = |&node: &usize| match &graph.nodes[node].op {
        Op::Conv(conv) => conv.outputs(),
        _ => 0,
    };
    let expected = [head.reg_max.saturating_mul(4), head.classes];
    graph.inputs.len() == 1
        && readers.all(is_stem)
        && head.encoding == OutputEncoding::Maps
        && levels.is_some_and(|levels| {
            levels.len() == head.strides.len()
                && levels
                    .iter()
                    .all(|level| level.each_ref().map(outputs) == expected)
        })
}

/// What a stage reads and writes.
struct StageAccesses {
    reads: Vec<ValueId>,
    writes: Vec<ValueId>,
}

impl Stage {
    fn touched(&self, graph: &Graph) -> StageAccesses {
        let inputs = |nodes: &[usize]| -> Vec<ValueId> {
            let all = nodes.iter().flat_map(|&node| &graph.nodes[node].inputs);
            all.copied().collect()
        };
        let outputs = |nodes: &[usize]| -> Vec<ValueId> {
            let all = nodes.iter().flat_map(|&node| &graph.nodes[node].outputs);
            all.copied().collect()
        };
        let step = match self {
            Self::Enter(value) => {
                return StageAccesses {
                    reads: Vec::new(),
                    writes: vec![*value],
                };
            }
            Self::Leave(value, _) => {
                return StageAccesses {
                    reads: vec![*value],
                    writes: Vec::new(),
                };
            }
            Self::FusedStep(step) => step,
        };
        let nodes = step.nodes();
        let (mut reads, mut writes) = (inputs(&nodes), outputs(&nodes));
        match step {
            FusedStep::Stem(_) => reads.retain(|value| !graph.inputs.contains(value)),
            FusedStep::Depthwise { depthwise, .. } => {
                let inner = graph.nodes[*depthwise].outputs[0];
                reads.retain(|&value| value != inner);
                writes.retain(|&value| value != inner);
            }
            FusedStep::Pools(nodes) => reads = inputs(&nodes[..1]),
            FusedStep::Head(_) => writes.clear(),
            FusedStep::Conv(_) | FusedStep::Attention(_) => {}
        }
        StageAccesses { reads, writes }
    }
}

/// The plan of these stages.
pub fn launches(
    graph: &Graph,
    shapes: &[Shape],
    stages: &[Stage],
    options: &Options<'_>,
) -> Result<Plan, LowerError> {
    let touched: Vec<StageAccesses> = stages.iter().map(|stage| stage.touched(graph)).collect();
    check_maps(graph, shapes, &touched)?;
    let written: Vec<ValueId> = touched.iter().flat_map(|t| t.writes.clone()).collect();
    let per_vector = options.element.per_vector();
    let buffers = BufferAssignment::new(graph, shapes, &written, per_vector);
    let batch = shapes[graph.inputs[0].index()][0] as u32;
    let mut lowering = Lowering {
        graph,
        shapes,
        options,
        batch,
        regions: Vec::new(),
        buffers,
        tiles: Tiles::default(),
        constants: Constants::default(),
        kernels: HashMap::new(),
        plan: Plan::default(),
    };
    let order = lowering.place(&touched)?;
    for stage in stages {
        lowering.stage(stage)?;
    }
    let mut plan = lowering.plan;
    for (launch, after) in plan.launches.iter_mut().zip(order.after) {
        launch.after = after;
    }
    plan.constants = lowering.constants.0;
    Ok(plan)
}

/// Refuses values that kernels would access and that are no maps: sizes of buffers and addresses in
/// kernels follow from the four extents.
fn check_maps(
    graph: &Graph,
    shapes: &[Shape],
    touched: &[StageAccesses],
) -> Result<(), LowerError> {
    let accessed = touched
        .iter()
        .flat_map(|it| it.reads.iter().chain(&it.writes));
    let accessed = accessed.chain(&graph.inputs);
    let other = |value: &&ValueId| {
        shapes[value.index()]
            .nchw()
            .is_none_or(|it| it.contains(&0))
    };
    let mut others: Vec<String> = accessed
        .filter(other)
        .map(|value| {
            let (name, shape) = (&graph.value(*value).name, &shapes[value.index()]);
            format!("'{name}' of {shape}, which is no map [batch, channels, height, width]")
        })
        .collect();
    others.dedup();
    match others.is_empty() {
        true => Ok(()),
        false => Err(LowerError::Unsupported(others)),
    }
}

/// A plan as it grows.
struct Lowering<'a> {
    graph: &'a Graph,
    shapes: &'a [Shape],
    options: &'a Options<'a>,
    batch: u32,
    buffers: BufferAssignment,
    /// By buffer.
    regions: Vec<Lifetime>,
    tiles: Tiles,
    constants: Constants,
    /// Kernels by what they compute, in words.
    kernels: HashMap<String, (Arc<Kernel>, [u32; 3], String)>,
    plan: Plan,
}

/// A launch before its order is known.
struct Draft {
    name: String,
    spec: KernelSpec,
    arguments: Vec<Argument>,
    reads: Vec<ChannelSlice>,
    writes: Vec<ChannelSlice>,
    flops: u64,
    /// Bytes of constants and of the caller's memory; maps are added.
    bytes: u64,
}

impl Lowering<'_> {
    fn element(&self) -> Element {
        self.options.element
    }

    /// Finds the order of the stages and lays the buffers out in the arena.
    fn place(&mut self, touched: &[StageAccesses]) -> Result<LaunchOrder, LowerError> {
        let mut touching = vec![Vec::new(); self.buffers.buffers.len()];
        let mut accesses = Vec::new();
        for (stage, touched) in touched.iter().enumerate() {
            let mut all = Vec::new();
            for (values, writes) in [(&touched.reads, false), (&touched.writes, true)] {
                for &value in values {
                    for slice in self.slices(value)? {
                        touching[slice.buffer].push(stage);
                        all.push(Access {
                            buffer: slice.buffer,
                            channels: slice.channel..slice.end(self.element().per_vector()),
                            writes,
                        });
                    }
                }
            }
            accesses.push(all);
        }
        for (buffer, stages) in self.buffers.buffers.iter().zip(&touching) {
            let pixels = (buffer.height * buffer.width * self.batch) as usize;
            let bytes = pixels * (buffer.pitch * self.element().bytes()) as usize;
            self.regions.push(Lifetime {
                offset: 0,
                bytes: bytes.next_multiple_of(ALIGNMENT),
                first: *stages.iter().min().expect("a stage writes each buffer"),
                last: *stages.iter().max().expect("a stage writes each buffer"),
            });
        }
        // Launches without a dependency between them may run at the same time, so lifetimes in
        // program order are not enough: two buffers share memory only if every access to one is
        // ordered before every access to the other.
        let order = LaunchOrder::new(&accesses);
        self.plan.unshared_bytes = self.regions.iter().map(|region| region.bytes).sum();
        self.plan.arena_bytes = place_regions(&mut self.regions, |a, b| {
            !order.may_share(&touching[a], &touching[b])
        });
        Ok(order)
    }

    /// Where a value is read.
    fn slices(&self, value: ValueId) -> Result<Vec<ChannelSlice>, LowerError> {
        let slices = self.buffers.read(self.graph, self.shapes, value);
        slices.ok_or_else(|| {
            let name = &self.graph.value(value).name;
            LowerError::Unsupported(vec![format!("a reader of '{name}'")])
        })
    }

    /// Where a value is read if it lies in one place as it is.
    fn slice(&self, value: ValueId) -> Result<ChannelSlice, LowerError> {
        match self.slices(value)?[..] {
            [slice] if slice.upsample == 1 => Ok(slice),
            _ => {
                let name = &self.graph.value(value).name;
                let reason = format!("'{name}', which lies in vectors where it must be whole");
                Err(LowerError::Unsupported(vec![reason]))
            }
        }
    }

    fn map(&self, slice: &ChannelSlice) -> Map {
        let buffer = self.buffers.buffers[slice.buffer];
        Map {
            height: buffer.height,
            width: buffer.width,
            channels: slice.channels.next_multiple_of(self.element().per_vector()),
            pitch: buffer.pitch,
        }
    }

    fn argument(&self, slice: &ChannelSlice) -> Argument {
        let channel = (slice.channel * self.element().bytes()) as usize;
        Argument::Memory {
            region: Region::Arena,
            offset: self.regions[slice.buffer].offset + channel,
            bytes: self.map(slice).reach_bytes(self.element(), self.batch),
        }
    }

    fn constant(&mut self, bytes: &[u8]) -> Argument {
        Argument::Memory {
            region: Region::Constants,
            offset: self.constants.add(bytes),
            bytes: bytes.len(),
        }
    }

    /// Bytes of a value's pixels, each once.
    fn bytes(&self, slice: &ChannelSlice) -> u64 {
        let map = self.map(slice);
        let values = u64::from(map.pixels()) * u64::from(self.batch * map.channels);
        values * u64::from(self.element().bytes())
    }

    /// Adds a launch, with the kernel of an earlier one if that computes the same.
    fn launch(&mut self, draft: Draft) {
        let (batch, target) = (self.batch, self.options.gpu.target);
        let maps = draft.reads.iter().chain(&draft.writes);
        let bytes = draft.bytes + maps.map(|slice| self.bytes(slice)).sum::<u64>();
        let output = match draft.spec {
            KernelSpec::FromMap(_) => draft.reads.first(),
            _ => draft.writes.first(),
        };
        let output = output.map(|slice| {
            let map = self.map(slice);
            [batch, slice.channels, map.height, map.width].map(|extent| extent as usize)
        });
        let words = format!("{:?}", draft.spec);
        // A kernel that serves maps of any extents has one name, and so one text.
        let text = format!("{:?}", draft.spec.of_any_extents());
        let name = format!("{}_{:08x}", draft.spec.base(), fingerprint(&text));
        let (kernel, grid, choice) = self.kernels.entry(words).or_insert_with(|| {
            let tiled = draft.spec.tiled(target, &name, batch);
            (Arc::new(tiled.kernel), tiled.grid, tiled.choice)
        });
        self.plan.launches.push(Launch {
            name: draft.name,
            spec: Some(draft.spec),
            kernel: Arc::clone(kernel),
            grid: *grid,
            arguments: draft.arguments,
            after: Vec::new(),
            output: output.map_or(Shape::default(), Shape::from),
            choice: choice.clone(),
            flops: draft.flops,
            bytes,
        });
    }

    /// Adds the launches of a stage.
    pub(super) fn stage(&mut self, stage: &Stage) -> Result<(), LowerError> {
        match stage {
            Stage::Enter(value) => self.enter(*value),
            Stage::Leave(value, output) => self.leave(*value, *output),
            Stage::FusedStep(FusedStep::Conv(nodes)) => self.conv(nodes),
            Stage::FusedStep(FusedStep::Depthwise {
                depthwise,
                pointwise,
            }) => self.depthwise(*depthwise, *pointwise),
            Stage::FusedStep(FusedStep::Stem(node)) => self.stem(*node),
            Stage::FusedStep(FusedStep::Pools(nodes)) => self.pools(nodes),
            Stage::FusedStep(FusedStep::Attention(node)) => self.attention(*node),
            Stage::FusedStep(FusedStep::Head(levels)) => self.head(levels),
        }
    }

    pub(super) fn node_conv(&self, node: usize) -> (&Node, &Conv) {
        let node = &self.graph.nodes[node];
        match &node.op {
            Op::Conv(conv) => (node, conv),
            _ => unreachable!("steps name convolutions"),
        }
    }

    pub(super) fn nchw(&self, value: ValueId) -> [u32; 4] {
        let shape = self.shapes[value.index()].nchw();
        let shape = shape.expect("lowering refuses values of another rank");
        shape.map(|side| side as u32)
    }

    pub(super) fn flops(&self, nodes: &[usize]) -> u64 {
        let of = |node: &usize| {
            let node = &self.graph.nodes[*node];
            let inputs: Vec<&Shape> = node
                .inputs
                .iter()
                .map(|v| &self.shapes[v.index()])
                .collect();
            node.op.as_operator().flops(&inputs)
        };
        nodes.iter().map(of).sum()
    }

    pub(super) fn names(&self, nodes: &[usize]) -> String {
        let names: Vec<&str> = nodes
            .iter()
            .map(|&n| self.graph.nodes[n].name.as_str())
            .collect();
        names.join(" + ")
    }

    /// Biases of a product's columns, zeros where there are none, padded to whole tiles.
    pub(super) fn biases(&mut self, biases: Vec<f32>, tile: &Tile) -> Argument {
        let mut biases = biases;
        biases.resize(biases.len().next_multiple_of(tile.n as usize), 0.0);
        let bytes: Vec<u8> = biases.into_iter().flat_map(f32::to_le_bytes).collect();
        self.constant(&bytes)
    }

    pub(super) fn pixels(&self, value: ValueId) -> Argument {
        let [batch, _, height, width] = self.nchw(value);
        Argument::Word(batch * height * width)
    }

    pub(super) fn part(&self, slice: &ChannelSlice) -> Part {
        let map = self.map(slice);
        Part {
            channels: map.channels,
            pitch: map.pitch,
        }
    }
}

/// Tells kernels of one base apart, the same in every plan so that compiled ones are found again
/// (FNV-1a).
fn fingerprint(words: &str) -> u32 {
    words.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// What a convolution slides over its input to make an output of these extents.
fn window(conv: &Conv, output: [u32; 2]) -> Window {
    let side = |pair: [usize; 2]| pair.map(|side| side as u32);
    let [top, left, _, _] = conv.padding;
    Window {
        kernel: side(conv.kernel()),
        stride: side(conv.stride),
        padding: side([top, left]),
        output,
    }
}
