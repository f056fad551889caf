//! Which maps have equal shapes whatever the input's shape is: found from the structure alone.

use std::collections::HashMap;

use crate::op::{DepthToSpace, Op};
use crate::{Graph, Node};

/// Channels and grid of a map; equal for two values only if their shapes always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MapShape {
    channels: usize,
    grid: Grid,
}

/// Names a height and width that follow from the input's.
type Grid = usize;

/// What turns one grid into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Change {
    Window {
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 4],
        dilation: [usize; 2],
    },
    Larger(usize),
}

impl Change {
    /// Whether height and width stay as they are.
    fn is_none(&self) -> bool {
        match *self {
            Self::Larger(factor) => factor == 1,
            Self::Window {
                kernel,
                stride,
                padding: [top, left, bottom, right],
                dilation,
            } => {
                let reach = |axis: usize| {
                    kernel[axis]
                        .saturating_sub(1)
                        .saturating_mul(dilation[axis])
                };
                let padded = [top.saturating_add(bottom), left.saturating_add(right)];
                stride == [1, 1] && padded == [reach(0), reach(1)]
            }
        }
    }
}

/// The shape of every value that is provably a map made from the first graph input, by value index.
pub(super) fn maps(graph: &Graph) -> Vec<Option<MapShape>> {
    let mut maps = vec![None; graph.values.len()];
    let mut grids = Grids::default();
    for node in &graph.nodes {
        if let Op::Split(split) = &node.op {
            let whole: Option<MapShape> = maps[node.inputs[0].index()];
            for (output, &channels) in node.outputs.iter().zip(&split.sizes) {
                maps[output.index()] = whole
                    .filter(|_| split.axis == 1)
                    .map(|MapShape { grid, .. }| MapShape { channels, grid });
            }
        } else if let &[output] = node.outputs.as_slice() {
            maps[output.index()] = written(graph, node, &maps, &mut grids);
        }
    }
    maps
}

/// Grids by how they came about.
#[derive(Default)]
struct Grids(HashMap<(Grid, Change), Grid>);

impl Grids {
    /// The input's own grid.
    const INPUT: Grid = 0;

    fn after(&mut self, grid: Grid, change: Change) -> Grid {
        if change.is_none() {
            return grid;
        }
        let next = self.0.len() + 1;
        *self.0.entry((grid, change)).or_insert(next)
    }
}

fn written(
    graph: &Graph,
    node: &Node,
    maps: &[Option<MapShape>],
    grids: &mut Grids,
) -> Option<MapShape> {
    let input = |index: usize| maps[node.inputs[index].index()];
    match &node.op {
        Op::Conv(conv) => {
            let grid = match input(0) {
                Some(map) => map.grid,
                None if graph.inputs.first() == Some(&node.inputs[0]) => Grids::INPUT,
                None => return None,
            };
            let change = Change::Window {
                kernel: conv.kernel(),
                stride: conv.stride,
                padding: conv.padding,
                dilation: conv.dilation,
            };
            Some(MapShape {
                channels: conv.outputs(),
                grid: grids.after(grid, change),
            })
        }
        Op::MaxPool(pool) => input(0).map(|MapShape { channels, grid }| MapShape {
            channels,
            grid: grids.after(
                grid,
                Change::Window {
                    kernel: pool.kernel,
                    stride: pool.stride,
                    padding: pool.padding,
                    dilation: [1, 1],
                },
            ),
        }),
        Op::Upsample(upsample) => input(0).map(|MapShape { channels, grid }| MapShape {
            channels,
            grid: grids.after(grid, Change::Larger(upsample.factor)),
        }),
        Op::DepthToSpace(DepthToSpace { block }) => {
            let MapShape { channels, grid } = input(0)?;
            Some(MapShape {
                channels: channels.checked_div(block.checked_mul(*block)?)?,
                grid: grids.after(grid, Change::Larger(*block)),
            })
        }
        Op::Activation(_) | Op::BatchNorm(_) | Op::Copy(_) => input(0),
        Op::Attention(attention) => input(0).map(|MapShape { grid, .. }| MapShape {
            channels: attention.heads.saturating_mul(attention.head_size),
            grid,
        }),
        Op::Binary(_) => input(0).filter(|map| input(1) == Some(*map)),
        Op::Concat(concat) if concat.axis == 1 => {
            // Pieces of unlike grids join only for inputs that make those equal; others are refused.
            let mut joined = input(0)?;
            for index in 1..node.inputs.len() {
                joined.channels = joined.channels.saturating_add(input(index)?.channels);
            }
            Some(joined)
        }
        _ => None,
    }
}
