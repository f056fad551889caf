//! The kernels of a plan, each loaded once; the driver compiles several at a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use super::super::{Context, CubinCache, CudaError, Function};
use crate::lang::Kernel;
use crate::plan::Plan;

/// More compile threads than this gain nothing: the driver's compiler shares locks.
const MAX_THREADS: usize = 8;

/// A kernel's text, and what became of it.
struct Work<'a> {
    kernel: &'a Kernel,
    ptx: String,
    outcome: OnceLock<Result<Arc<Function>, CudaError>>,
}

/// The function of each launch, in order.
pub(super) fn functions(
    context: &Arc<Context>,
    plan: &Plan,
    emit: &(dyn Fn(&Kernel) -> String + Sync),
    cache: Option<&CubinCache>,
) -> Result<Vec<Arc<Function>>, CudaError> {
    let (work, of_launch) = distinct(plan, emit);
    let next = AtomicUsize::new(0);
    let load = || {
        while let Some(item) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            let loaded = Function::load(context, item.kernel, &item.ptx, cache).map(Arc::new);
            let failed = loaded.is_err();
            let _ = item.outcome.set(loaded);
            if failed {
                next.store(work.len(), Ordering::Relaxed);
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 1..cores.min(MAX_THREADS).min(work.len()) {
            scope.spawn(load);
        }
        load();
    });
    let failure = work
        .iter()
        .find_map(|item| item.outcome.get()?.as_ref().err());
    if let Some(failure) = failure {
        return Err(failure.clone());
    }
    let function = |&index: &usize| match work[index].outcome.get() {
        Some(Ok(function)) => Ok(Arc::clone(function)),
        Some(Err(error)) => Err(error.clone()),
        None => Err(CudaError::Plan {
            launch: work[index].kernel.name.clone(),
            reason: "it was not loaded".to_owned(),
        }),
    };
    of_launch.iter().map(function).collect()
}

/// Each text once, and which of them each launch has. Kernels may share a name and differ.
fn distinct<'a>(
    plan: &'a Plan,
    emit: &(dyn Fn(&Kernel) -> String + Sync),
) -> (Vec<Work<'a>>, Vec<usize>) {
    let mut by_kernel: HashMap<*const Kernel, usize> = HashMap::new();
    let mut by_text: HashMap<String, usize> = HashMap::new();
    let mut work: Vec<Work<'a>> = Vec::new();
    let index_of = |launch: &'a crate::plan::Launch| {
        let kernel: &'a Kernel = &launch.kernel;
        *by_kernel
            .entry(Arc::as_ptr(&launch.kernel))
            .or_insert_with(|| {
                let ptx = emit(kernel);
                *by_text.entry(ptx).or_insert_with_key(|ptx| {
                    work.push(Work {
                        kernel,
                        ptx: ptx.clone(),
                        outcome: OnceLock::new(),
                    });
                    work.len() - 1
                })
            })
    };
    let of_launch = plan.launches.iter().map(index_of).collect();
    (work, of_launch)
}
