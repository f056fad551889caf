//! A plan on a GPU: launches in, kernels and constants there out, shared by all who run it.
//!
//! A [`LoadedPlan`] never changes. What a run writes belongs to an [`ExecutionContext`], of which a plan
//! may have several: their runs overlap. Never trusts the plan: each argument is checked against its
//! region.

mod edges;
mod execution;
mod regions;

use std::sync::Arc;

use super::{Context, CubinCache, CudaError, DeviceBuffer, Function, Modules};
use crate::plan::Plan;

pub use edges::Edges;
pub use execution::ExecutionContext;

/// Constants on a GPU, shared by the plans of one model.
pub struct Constants(DeviceBuffer);

impl Constants {
    /// Brings them there.
    ///
    /// # Errors
    /// The GPU has no memory left for them.
    pub fn upload(context: &Arc<Context>, bytes: &[u8]) -> Result<Arc<Self>, CudaError> {
        let mut buffer = DeviceBuffer::new(context, bytes.len(), "the weights")?;
        buffer.write(0, bytes)?;
        Ok(Arc::new(Self(buffer)))
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// A plan whose kernels and constants are on a GPU.
pub struct LoadedPlan {
    context: Arc<Context>,
    plan: Plan,
    /// One per launch.
    functions: Vec<Arc<Function>>,
    constants: Arc<Constants>,
}

impl LoadedPlan {
    /// Loads the plan's kernels, but for those that `modules` has. `constants` are those of the plan,
    /// uploaded already if another plan has the same.
    ///
    /// # Errors
    /// The plan is inconsistent, or the driver does not take a kernel.
    pub fn new(
        context: &Arc<Context>,
        plan: &Plan,
        constants: Arc<Constants>,
        modules: &mut Modules,
        cache: Option<&CubinCache>,
    ) -> Result<Arc<Self>, CudaError> {
        regions::check(plan, constants.bytes())?;
        Ok(Arc::new(Self {
            context: Arc::clone(context),
            functions: modules.functions(context, plan, cache)?,
            plan: without_constants(plan),
            constants,
        }))
    }

    /// The GPU that it is on.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// What is run; the constants are on the GPU only.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The kernel of each launch.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.functions.iter().map(|function| &**function)
    }
}

/// The plan but for its largest part, which the GPU has.
fn without_constants(plan: &Plan) -> Plan {
    Plan {
        launches: plan.launches.clone(),
        arena_bytes: plan.arena_bytes,
        unshared_bytes: plan.unshared_bytes,
        constants: Vec::new(),
        counter_bytes: plan.counter_bytes,
        inputs: plan.inputs.clone(),
        outputs: plan.outputs.clone(),
    }
}
