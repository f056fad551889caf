//! The memory plan: where in one arena each value lies, given when each is alive.

use crate::{Graph, ValueId};

/// A value's place in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// First byte.
    pub offset: usize,
    /// Bytes.
    pub bytes: usize,
    /// Position of the node that first writes it; 0 for a graph input.
    pub first: usize,
    /// Position of the node that last reads it; past the last node for a graph output.
    pub last: usize,
}

/// Where every value that has memory of its own lies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryPlan {
    /// By value index; `None` for views and for values outside the arena.
    pub regions: Vec<Option<Region>>,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// Bytes if no two values shared memory.
    pub unshared_bytes: usize,
}

impl MemoryPlan {
    /// Places every root value for which `bytes` is above 0, at multiples of `alignment`.
    ///
    /// Largest first, each at the lowest offset where no value that is alive at the same time lies
    /// (greedy by size; Pisarchyk and Lee, arXiv 2001.03288).
    pub fn new(graph: &Graph, alignment: usize, bytes: impl Fn(ValueId) -> usize) -> Self {
        let lifetimes = lifetimes(graph);
        let mut plan = Self {
            regions: vec![None; graph.values.len()],
            ..Self::default()
        };
        let (mut owners, mut regions) = (Vec::new(), Vec::new());
        for (index, lifetime) in lifetimes.iter().enumerate() {
            let bytes = bytes(ValueId(index as u32)).next_multiple_of(alignment);
            if let (Some((first, last)), None, 1..) = (*lifetime, graph.values[index].view, bytes) {
                owners.push(index);
                regions.push(Region {
                    offset: 0,
                    bytes,
                    first,
                    last,
                });
            }
        }
        let alive: Vec<(usize, usize)> = regions.iter().map(|r| (r.first, r.last)).collect();
        plan.arena_bytes = place_regions(&mut regions, |a, b| {
            alive[a].0 <= alive[b].1 && alive[b].0 <= alive[a].1
        });
        for (owner, region) in owners.into_iter().zip(regions) {
            plan.unshared_bytes += region.bytes;
            plan.regions[owner] = Some(region);
        }
        plan
    }
}

/// Gives each region the lowest offset where none lies that must stay apart from it, the largest
/// first; sizes keep their alignment. Returns the bytes of all.
pub fn place_regions(regions: &mut [Region], apart: impl Fn(usize, usize) -> bool) -> usize {
    let mut order: Vec<usize> = (0..regions.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(regions[index].bytes));
    let mut placed: Vec<usize> = Vec::new();
    let mut end = 0;
    for index in order {
        let others = placed.iter().filter(|&&other| apart(index, other));
        let offset = lowest_gap(others.map(|&other| &regions[other]), regions[index].bytes);
        regions[index].offset = offset;
        let position = placed.partition_point(|&other| regions[other].offset <= offset);
        placed.insert(position, index);
        end = end.max(offset + regions[index].bytes);
    }
    end
}

/// First write and last read of every value's root, by value index.
fn lifetimes(graph: &Graph) -> Vec<Option<(usize, usize)>> {
    let mut lifetimes: Vec<Option<(usize, usize)>> = vec![None; graph.values.len()];
    let mut touch = |value: ValueId, moment: usize| {
        let root = graph.root(value).0;
        let entry = lifetimes[root.index()].get_or_insert((moment, moment));
        *entry = (entry.0.min(moment), entry.1.max(moment));
    };
    graph.inputs.iter().for_each(|&input| touch(input, 0));
    for (moment, node) in graph.nodes.iter().enumerate() {
        node.inputs
            .iter()
            .chain(&node.outputs)
            .for_each(|&value| touch(value, moment));
    }
    graph
        .outputs
        .iter()
        .for_each(|&output| touch(output, graph.nodes.len()));
    lifetimes
}

/// The lowest offset with `size` free bytes between regions that are sorted by offset.
fn lowest_gap<'r>(regions: impl Iterator<Item = &'r Region>, size: usize) -> usize {
    let mut offset = 0;
    for region in regions {
        if region.offset >= offset + size {
            break;
        }
        offset = offset.max(region.offset + region.bytes);
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Activation, Binary};

    #[test]
    fn values_that_are_alive_together_do_not_overlap() {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let a = graph.add("a", Activation::Relu, &[input]);
        let b = graph.add("b", Activation::Relu, &[a]);
        let c = graph.add("c", Activation::Relu, &[b]);
        let d = graph.add("d", Binary::Add, &[c, a]);
        graph.outputs.push(d);
        let sizes = |value: ValueId| {
            if value == input {
                0
            } else {
                100 + value.index()
            }
        };
        let plan = MemoryPlan::new(&graph, 64, sizes);
        let regions: Vec<Region> = plan.regions.iter().flatten().copied().collect();
        assert_eq!(regions.len(), 4);
        for (index, one) in regions.iter().enumerate() {
            for other in &regions[index + 1..] {
                let together = one.first <= other.last && other.first <= one.last;
                let apart = one.offset + one.bytes <= other.offset
                    || other.offset + other.bytes <= one.offset;
                assert!(apart || !together, "{one:?} {other:?}");
            }
        }
        assert!(plan.arena_bytes < plan.unshared_bytes);
    }
}
