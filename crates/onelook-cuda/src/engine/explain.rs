//! A plan in the words that all engines share.

use onelook_graph::{Backend, ExplainedNode, Explanation, PlanKind};

use super::Cuda;
use crate::driver::{CudaError, module_count};
use crate::kernels::Element;
use crate::plan::Plan;

/// A node per launch; which layers it computes is its name.
pub(super) fn explanation(
    plan: &Plan,
    kind: PlanKind,
    cuda: &Cuda,
    element: Element,
) -> Result<Explanation, CudaError> {
    let nodes = plan.launches.iter().map(|launch| ExplainedNode {
        name: launch.name.clone(),
        op: "launch".to_owned(),
        kernel: launch.kernel.name.clone(),
        choice: launch.choice.clone(),
        output: launch.output.clone(),
        flops: launch.flops,
        bytes: launch.bytes,
    });
    Ok(Explanation {
        device: cuda.describe(),
        kind,
        precision: element.precision(),
        nodes: nodes.collect(),
        arena_bytes: plan.arena_bytes,
        unshared_bytes: plan.unshared_bytes,
        weight_bytes: plan.constants.len(),
        modules: Some(module_count(plan)?),
    })
}
