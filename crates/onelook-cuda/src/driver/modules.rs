//! The kernels that a GPU has of a model: a plan in, a loaded function per launch out.
//!
//! Kernels are known by their text: plans whose kernels have the same text share one module, which is
//! unloaded when the last of these plans goes. The driver compiles several at a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::{ptr, thread};

use onelook_ptx::emit;
use onelook_ptx::lang::Kernel;
use sha2::{Digest, Sha256};

use super::{Context, CubinCache, CudaError, Function};
use crate::plan::Plan;

/// More compile threads than this gain nothing: the driver's compiler shares locks.
const MAX_THREADS: usize = 8;

/// What two kernels with the same module have in common.
type ModuleKey = [u8; 32];

/// The modules of one GPU that some plan uses.
#[derive(Default)]
pub struct Modules {
    loaded: HashMap<ModuleKey, Weak<Function>>,
}

/// A kernel's text, and what became of it.
struct KernelToLoad<'a> {
    kernel: &'a Kernel,
    key: ModuleKey,
    ptx: String,
    outcome: OnceLock<Result<Arc<Function>, CudaError>>,
}

impl Modules {
    /// How many there are.
    pub fn count(&self) -> usize {
        let alive = |function: &&Weak<Function>| function.strong_count() > 0;
        self.loaded.values().filter(alive).count()
    }

    /// The function of each launch, in order; what is not there yet is loaded.
    pub(super) fn functions(
        &mut self,
        context: &Arc<Context>,
        plan: &Plan,
        cache: Option<&CubinCache>,
    ) -> Result<Vec<Arc<Function>>, CudaError> {
        let (kernels, of_launch) = distinct(plan)?;
        for item in &kernels {
            if let Some(known) = self.loaded.get(&item.key).and_then(Weak::upgrade) {
                let _ = item.outcome.set(Ok(known));
            }
        }
        load(context, &kernels, cache);
        let failure = kernels
            .iter()
            .find_map(|item| item.outcome.get()?.as_ref().err());
        if let Some(failure) = failure {
            return Err(failure.clone());
        }
        self.loaded
            .retain(|_, function| function.strong_count() > 0);
        for item in &kernels {
            if let Some(Ok(function)) = item.outcome.get() {
                self.loaded.insert(item.key, Arc::downgrade(function));
            }
        }
        let function = |&index: &usize| match kernels[index].outcome.get() {
            Some(Ok(function)) => Ok(Arc::clone(function)),
            Some(Err(error)) => Err(error.clone()),
            None => Err(CudaError::Plan {
                launch: kernels[index].kernel.name.clone(),
                reason: "it was not loaded".to_owned(),
            }),
        };
        of_launch.iter().map(function).collect()
    }
}

/// Loads those without an outcome; after a failure no more are begun.
fn load(context: &Arc<Context>, kernels: &[KernelToLoad<'_>], cache: Option<&CubinCache>) {
    let missing = kernels.iter().filter(|item| item.outcome.get().is_none());
    let missing: Vec<&KernelToLoad<'_>> = missing.collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(item) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            let loaded = Function::load(context, item.kernel, &item.ptx, cache).map(Arc::new);
            let failed = loaded.is_err();
            let _ = item.outcome.set(loaded);
            if failed {
                next.store(missing.len(), Ordering::Relaxed);
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 1..cores.min(MAX_THREADS).min(missing.len()) {
            // One that cannot be started is done without.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
}

/// How many modules the plan needs: its kernels with different texts.
///
/// # Errors
/// A kernel cannot be written as PTX.
pub fn module_count(plan: &Plan) -> Result<usize, CudaError> {
    Ok(distinct(plan)?.0.len())
}

/// Each text once, and which of them each launch has. Kernels may share a name and differ.
fn distinct(plan: &Plan) -> Result<(Vec<KernelToLoad<'_>>, Vec<usize>), CudaError> {
    let mut by_kernel: HashMap<*const Kernel, usize> = HashMap::new();
    let mut by_module: HashMap<ModuleKey, usize> = HashMap::new();
    let mut kernels = Vec::new();
    let mut of_launch = Vec::with_capacity(plan.launches.len());
    for launch in &plan.launches {
        let kernel: &Kernel = &launch.kernel;
        let known = by_kernel.get(&ptr::from_ref(kernel)).copied();
        let index = match known {
            Some(index) => index,
            None => {
                let ptx = text(kernel)?;
                let key = module_key(kernel, &ptx);
                *by_module.entry(key).or_insert_with(|| {
                    kernels.push(KernelToLoad {
                        kernel,
                        key,
                        ptx,
                        outcome: OnceLock::new(),
                    });
                    kernels.len() - 1
                })
            }
        };
        by_kernel.insert(ptr::from_ref(kernel), index);
        of_launch.push(index);
    }
    Ok((kernels, of_launch))
}

/// The text, and what a launch takes from the kernel itself.
fn module_key(kernel: &Kernel, ptx: &str) -> ModuleKey {
    let mut hasher = Sha256::new();
    hasher.update(kernel.threads.to_le_bytes());
    hasher.update(kernel.shared_bytes.to_le_bytes());
    hasher.update(ptx);
    hasher.finalize().into()
}

fn text(kernel: &Kernel) -> Result<String, CudaError> {
    emit(kernel).map_err(|error| CudaError::Plan {
        launch: kernel.name.clone(),
        reason: error.to_string(),
    })
}
