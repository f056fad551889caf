//! The kernels of a plan, each loaded once; the driver compiles several at a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::{ptr, thread};

use onelook_ptx::emit;
use onelook_ptx::lang::Kernel;

use super::super::{Context, CubinCache, CudaError, Function};
use crate::plan::Plan;

/// More compile threads than this gain nothing: the driver's compiler shares locks.
const MAX_THREADS: usize = 8;

/// A kernel's text, and what became of it.
struct KernelToLoad<'a> {
    kernel: &'a Kernel,
    ptx: String,
    outcome: OnceLock<Result<Arc<Function>, CudaError>>,
}

/// The function of each launch, in order.
pub(super) fn functions(
    context: &Arc<Context>,
    plan: &Plan,
    cache: Option<&CubinCache>,
) -> Result<Vec<Arc<Function>>, CudaError> {
    let (kernels, of_launch) = distinct(plan)?;
    let next = AtomicUsize::new(0);
    let load = || {
        while let Some(item) = kernels.get(next.fetch_add(1, Ordering::Relaxed)) {
            let loaded = Function::load(context, item.kernel, &item.ptx, cache).map(Arc::new);
            let failed = loaded.is_err();
            let _ = item.outcome.set(loaded);
            if failed {
                next.store(kernels.len(), Ordering::Relaxed);
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 1..cores.min(MAX_THREADS).min(kernels.len()) {
            scope.spawn(load);
        }
        load();
    });
    let failure = kernels
        .iter()
        .find_map(|item| item.outcome.get()?.as_ref().err());
    if let Some(failure) = failure {
        return Err(failure.clone());
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

/// Each text once, and which of them each launch has. Kernels may share a name and differ.
fn distinct(plan: &Plan) -> Result<(Vec<KernelToLoad<'_>>, Vec<usize>), CudaError> {
    let mut by_kernel: HashMap<*const Kernel, usize> = HashMap::new();
    let mut by_text: HashMap<String, usize> = HashMap::new();
    let mut kernels = Vec::new();
    let mut of_launch = Vec::with_capacity(plan.launches.len());
    for launch in &plan.launches {
        let kernel: &Kernel = &launch.kernel;
        let known = by_kernel.get(&ptr::from_ref(kernel)).copied();
        let index = match known {
            Some(index) => index,
            None => {
                let ptx = text(kernel)?;
                *by_text.entry(ptx).or_insert_with_key(|ptx| {
                    kernels.push(KernelToLoad {
                        kernel,
                        ptx: ptx.clone(),
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

fn text(kernel: &Kernel) -> Result<String, CudaError> {
    emit(kernel).map_err(|error| CudaError::Plan {
        launch: kernel.name.clone(),
        reason: error.to_string(),
    })
}
