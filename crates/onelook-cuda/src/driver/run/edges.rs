//! The graph of a plan's launches: an edge per dependency, full or programmatic.

use std::sync::Arc;

use super::super::{Context, CudaError, DeviceBuffer, Function, Graph, Node, Value};
use crate::plan::{Argument, Plan, Region};

/// What an edge between two launches waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Edges {
    /// The later launch starts when the earlier one has ended.
    #[default]
    Full,
    /// The later launch may start while the earlier one runs, where its kernel waits by itself
    /// (`griddepcontrol.wait`), all that it waits for are launches, and the driver can do that;
    /// elsewhere as in `Full`.
    // Sound along chains: no block touches what others write ahead of its wait, and none ends
    // without it, so that a launch that has ended had all before it ended, those without an edge to
    // it too.
    Dependent,
}

/// A launch with its values.
pub(super) struct PreparedLaunch {
    pub(super) function: Arc<Function>,
    pub(super) grid: [u32; 3],
    pub(super) values: Vec<Value>,
}

/// The launches with an edge for each need, and how many edges let the later launch start early.
/// Those that count wait for the counters to be zero.
pub(super) fn graph(
    context: &Arc<Context>,
    plan: &Plan,
    steps: &[PreparedLaunch],
    counters: &DeviceBuffer,
    edges: Edges,
) -> Result<(Graph, usize), CudaError> {
    let mut graph = Graph::new(context)?;
    let mut cleared = None;
    if plan.counter_bytes > 0 {
        // SAFETY: `ExecutionContext` owns the counters and everything instantiated from this graph, and
        // synchronises its stream before it drops either.
        cleared = Some(unsafe { graph.add_clear(counters, &[])? });
    }
    let dependent = edges == Edges::Dependent && graph.knows_dependents();
    let mut early = 0;
    let mut nodes: Vec<Node> = Vec::with_capacity(steps.len());
    for (launch, step) in plan.launches.iter().zip(steps) {
        let after: Vec<Node> = launch.after.iter().map(|&earlier| nodes[earlier]).collect();
        // A launch that counts also depends on the memset of the counters, which needs a full edge.
        // The driver's documentation does not say whether one node may have edges of both kinds, so
        // such a launch gets full edges only.
        let counting = launch.arguments.iter().any(counts);
        let (full, waited_for) = match dependent && launch.kernel.waits_for_grid() && !counting {
            true => (Vec::new(), after),
            false => (after, Vec::new()),
        };
        let cleared = cleared.filter(|_| counting);
        let full: Vec<Node> = full.into_iter().chain(cleared).collect();
        // SAFETY: `ExecutionContext` owns the functions, the buffers and everything instantiated
        // from this graph, and synchronises its stream before it drops any; `regions::check` proved that
        // each argument's bytes lie in its region.
        let node = unsafe { graph.add_launch(&step.function, step.grid, &step.values, &full)? };
        for earlier in waited_for {
            early += usize::from(graph.add_dependent(earlier, node)?);
        }
        nodes.push(node);
    }
    Ok((graph, early))
}

fn counts(argument: &Argument) -> bool {
    matches!(
        argument,
        Argument::Memory {
            region: Region::Counters,
            ..
        }
    )
}
