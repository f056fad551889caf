//! Fusion: which nodes become one kernel. A graph in, steps out, in an order in which they can run.
//!
//! Splits, concatenations and upsamplings become no step: their readers read the parts where they
//! lie.

use onelook_graph::op::{Conv, MaxPool};
use onelook_graph::{Graph, Node, NodeId, Op, ValueId};

/// What one kernel computes; nodes by position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FusedStep {
    /// The first convolution, straight from images.
    Stem(usize),
    /// Convolutions of one input, alike but for their weights.
    Conv(Vec<usize>),
    /// A depthwise convolution and the 1x1 behind it.
    Depthwise {
        /// The first.
        depthwise: usize,
        /// The second.
        pointwise: usize,
    },
    /// Pools, each of the one before.
    Pools(Vec<usize>),
    /// Self-attention.
    Attention(usize),
    /// The last convolutions of a detection head, boxes and classes of each level, and what makes
    /// boxes of them.
    Head(Vec<[usize; 2]>),
}

impl FusedStep {
    /// The nodes that it computes.
    pub fn nodes(&self) -> Vec<usize> {
        match self {
            Self::Stem(node) | Self::Attention(node) => vec![*node],
            Self::Conv(nodes) | Self::Pools(nodes) => nodes.clone(),
            Self::Depthwise {
                depthwise,
                pointwise,
            } => vec![*depthwise, *pointwise],
            Self::Head(levels) => levels.iter().flatten().copied().collect(),
        }
    }
}

/// The steps of a graph whose first convolution may read images (`images`) and whose outputs
/// may be those of a detection head (`head`), or the nodes that no kernel computes, in words.
pub fn steps(graph: &Graph, images: bool, head: bool) -> Result<Vec<FusedStep>, Vec<String>> {
    let finder = Finder {
        graph,
        producers: graph.producers(),
        readers: graph.readers(),
    };
    let mut taken = vec![false; graph.nodes.len()];
    let mut steps = Vec::new();
    let mut unsupported = Vec::new();
    let levels = if head { finder.head() } else { None };
    for node in levels.iter().flatten().flatten() {
        taken[*node] = true;
    }
    for index in 0..graph.nodes.len() {
        if taken[index] || finder.is_view(index) {
            continue;
        }
        let found = match finder.step(index, images, &taken) {
            Ok(found) => found,
            Err(reason) => {
                unsupported.push(describe(&graph.nodes[index], reason));
                continue;
            }
        };
        let Some(step) = found else { continue };
        for node in step.nodes() {
            taken[node] = true;
        }
        steps.push(step);
    }
    steps.extend(levels.map(FusedStep::Head));
    match unsupported.is_empty() {
        true => Ok(steps),
        false => Err(unsupported),
    }
}

fn describe(node: &Node, reason: &str) -> String {
    let attributes = node.op.as_operator().attributes();
    format!(
        "{} {attributes} ({reason}, '{}')",
        node.op.name(),
        node.name
    )
}

/// Matches patterns around a node.
struct Finder<'g> {
    graph: &'g Graph,
    producers: Vec<Option<NodeId>>,
    readers: Vec<Vec<NodeId>>,
}

impl Finder<'_> {
    /// Whether the node only rearranges values, so that its readers read the originals.
    fn is_view(&self, index: usize) -> bool {
        match &self.graph.nodes[index].op {
            Op::Constant(_) | Op::Upsample(_) => true,
            Op::Split(split) => split.axis == 1,
            Op::Concat(concat) => concat.axis == 1,
            _ => false,
        }
    }

    /// The step that begins with a node; none when it belongs to a later one.
    fn step(
        &self,
        index: usize,
        images: bool,
        taken: &[bool],
    ) -> Result<Option<FusedStep>, &'static str> {
        let node = &self.graph.nodes[index];
        match &node.op {
            Op::Conv(conv) if conv.is_depthwise() => match self.pointwise_behind(index) {
                Some(_) if conv.dilation == [1, 1] => Ok(None),
                _ => Err("depthwise without a 1x1 convolution behind it alone"),
            },
            Op::Conv(conv) if conv.groups != 1 => Err("grouped"),
            Op::Conv(conv) if conv.dilation != [1, 1] => Err("dilated"),
            Op::Conv(_) if self.graph.inputs.contains(&node.inputs[0]) && images => {
                Ok(Some(FusedStep::Stem(index)))
            }
            Op::Conv(_) => Ok(Some(match self.depthwise_ahead(index) {
                Some(depthwise) => FusedStep::Depthwise {
                    depthwise,
                    pointwise: index,
                },
                None => FusedStep::Conv(self.siblings(index, taken)),
            })),
            Op::MaxPool(_) => Ok(Some(FusedStep::Pools(self.chain(index)))),
            Op::Attention(_) => Ok(Some(FusedStep::Attention(index))),
            _ => Err("no kernel"),
        }
    }

    fn conv(&self, index: usize) -> Option<&Conv> {
        match &self.graph.nodes[index].op {
            Op::Conv(conv) => Some(conv),
            _ => None,
        }
    }

    /// The only reader of a node's only output.
    fn only_reader(&self, index: usize) -> Option<usize> {
        let [output] = self.graph.nodes[index].outputs[..] else {
            return None;
        };
        match self.readers[output.index()][..] {
            [NodeId(reader)] if !self.graph.outputs.contains(&output) => Some(reader),
            _ => None,
        }
    }

    fn pointwise_behind(&self, index: usize) -> Option<usize> {
        let reader = self.only_reader(index)?;
        let conv = self.conv(reader)?;
        let output = self.graph.nodes[index].outputs[0];
        let pointwise = conv.kernel() == [1, 1]
            && conv.stride == [1, 1]
            && conv.padding == [0; 4]
            && conv.groups == 1
            && self.graph.nodes[reader].inputs[0] == output;
        pointwise.then_some(reader)
    }

    fn depthwise_ahead(&self, index: usize) -> Option<usize> {
        let NodeId(producer) = self.producers[self.graph.nodes[index].inputs[0].index()]?;
        let depthwise = self.conv(producer)?.is_depthwise();
        (depthwise && self.pointwise_behind(producer) == Some(index)).then_some(producer)
    }

    /// The convolutions that read the same and differ in weights only, the first one among them.
    fn siblings(&self, index: usize, taken: &[bool]) -> Vec<usize> {
        let (node, first) = (&self.graph.nodes[index], self.conv(index));
        let alike = |other: usize| {
            let (Some(a), Some(b)) = (first, self.conv(other)) else {
                return false;
            };
            self.graph.nodes[other].inputs[0] == node.inputs[0]
                && !taken[other]
                && (a.kernel(), a.stride, a.padding) == (b.kernel(), b.stride, b.padding)
                && (a.dilation, a.groups, a.activation) == (b.dilation, b.groups, b.activation)
                && !a.residual
                && !b.residual
        };
        let readers = self.readers[node.inputs[0].index()].iter();
        let others = readers.map(|reader| reader.0);
        let mut all: Vec<usize> = others
            .filter(|&other| other > index && alike(other))
            .collect();
        all.insert(0, index);
        all.dedup();
        all
    }

    /// A pool and those that pool its result again, alike.
    fn chain(&self, index: usize) -> Vec<usize> {
        let pool = |index: usize| match &self.graph.nodes[index].op {
            Op::MaxPool(pool) => Some(*pool),
            _ => None,
        };
        let chained = |pool: &MaxPool| {
            let [top, left, bottom, right] = pool.padding;
            let same = |before, after, kernel: usize| before == after && 2 * before + 1 == kernel;
            pool.stride == [1, 1]
                && same(top, bottom, pool.kernel[0])
                && same(left, right, pool.kernel[1])
        };
        let mut chain = vec![index];
        while let Some(last) = pool(chain[chain.len() - 1]).filter(chained) {
            let output = self.graph.nodes[chain[chain.len() - 1]].outputs[0];
            let mut readers = self.readers[output.index()].iter().map(|reader| reader.0);
            match readers.find(|&reader| pool(reader) == Some(last)) {
                Some(next) => chain.push(next),
                None => break,
            }
        }
        chain
    }

    /// The convolutions that write the graph's outputs, two per level, if that is what writes them.
    fn head(&self) -> Option<Vec<[usize; 2]>> {
        let last = |output: &ValueId| {
            let NodeId(producer) = self.producers[output.index()]?;
            let conv = self.conv(producer)?;
            let plain = conv.kernel() == [1, 1]
                && conv.stride == [1, 1]
                && conv.padding == [0; 4]
                && conv.groups == 1
                && !conv.residual
                && conv.activation.is_none();
            (plain && self.readers[output.index()].is_empty()).then_some(producer)
        };
        let nodes: Option<Vec<usize>> = self.graph.outputs.iter().map(last).collect();
        let (levels, rest) = nodes.as_deref()?.as_chunks();
        (rest.is_empty() && !levels.is_empty()).then(|| levels.to_vec())
    }
}
